import * as path from 'node:path';
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import * as cloudfront from 'aws-cdk-lib/aws-cloudfront';
import { S3BucketOrigin } from 'aws-cdk-lib/aws-cloudfront-origins';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Freshet } from '../src';

// A bucket, a distribution in front of it, and freshet in between.
const app = new App();
const stack = new Stack(app, 'Site');
const bucket = new s3.Bucket(stack, 'Bucket');
const distribution = new cloudfront.Distribution(stack, 'Distribution', {
  defaultRootObject: 'index.html',
  defaultBehavior: {
    origin: S3BucketOrigin.withOriginAccessControl(bucket),
    viewerProtocolPolicy: cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
  },
});
new Freshet(stack, 'Freshet', {
  bucket,
  distributions: [distribution],
  code: lambda.Code.fromAsset(process.env.FRESHET_ZIP ?? path.join(__dirname, '../../../../bin/freshet-lambda-arm64.zip')),
});
new CfnOutput(stack, 'Url', { value: `https://${distribution.domainName}/` });
app.synth();
