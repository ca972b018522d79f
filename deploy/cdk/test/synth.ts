import { App, Stack } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import { Freshet } from '../src';

interface Site {
  readonly name: string;
  readonly bucket: string;
  readonly imported: boolean;
  readonly topic: string;
  readonly props: Record<string, never>;
}

// Reads sites by their names, and writes their templates, or why there is none.
const sites = JSON.parse(require('node:fs').readFileSync(0, 'utf8')) as Record<string, Site>;
const out: Record<string, unknown> = {};
for (const [id, site] of Object.entries(sites)) {
  try {
    out[id] = { template: template(site) };
  } catch (e) {
    out[id] = { errors: String((e as Error).message).split('\n') };
  }
}
process.stdout.write(JSON.stringify(out));

function template(site: Site): unknown {
  const app = new App({ analyticsReporting: false });
  const stack = new Stack(app, 'Stack');
  const bucket = site.imported ? s3.Bucket.fromBucketName(stack, 'Bucket', site.bucket) : new s3.Bucket(stack, 'Bucket', { bucketName: site.bucket });
  new Freshet(stack, 'Freshet', {
    ...site.props,
    bucket,
    code: lambda.Code.fromAsset(process.env.FRESHET_ZIP ?? ''),
    alarmTopics: [sns.Topic.fromTopicArn(stack, 'Topic', site.topic)],
  });
  return app.synth().getStackByName('Stack').template;
}
