import { Duration, RemovalPolicy, Stack, Token } from 'aws-cdk-lib';
import * as cloudfront from 'aws-cdk-lib/aws-cloudfront';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { Needs, Words, queuePolicy, rolePolicy, trustPolicy } from './policies';

export interface FreshetProps {
  /** Bucket whose changes are followed. */
  readonly bucket: s3.IBucket;

  /**
   * Distributions in front of it; tenants by their IDs, dt_….
   *
   * @default - those that the function finds by their origins, for which it may
   * invalidate every distribution of the account
   */
  readonly distributions?: (cloudfront.IDistribution | string)[];

  /** The function's zip: bin/freshet-lambda-arm64.zip, made by make lambda. */
  readonly code: lambda.Code;

  /**
   * Of the function, its role, its queue and its log group.
   *
   * @default freshet
   */
  readonly name?: string;

  /**
   * Only keys that begin with it are followed. As S3 wants it in a rule: + for a
   * space, other special characters percent-encoded.
   */
  readonly prefix?: string;

  /** Only keys that end with it are followed. Spelled as the prefix is. */
  readonly suffix?: string;

  /** Name of a DynamoDB table, which is made, in which functions that run at the same time share CloudFront's quota. */
  readonly table?: string;

  /**
   * Functions at a time; more than one only with a table.
   *
   * @default 1, or 5 with a table
   */
  readonly concurrency?: number;

  /** Where the function's configuration is: ssm:NAME, s3://BUCKET/KEY, or a file in its zip. */
  readonly configuration?: string;

  /** The function is an action of CodePipeline. */
  readonly codePipeline?: boolean;

  /** CodeCommit repositories whose differences the function reads. */
  readonly repositories?: string[];

  /** More environment variables of the function, such as FRESHET_WAIT. */
  readonly environment?: Record<string, string>;

  /** @default 30 days */
  readonly logRetention?: logs.RetentionDays;

  /**
   * Within which 99 of 100 changes are to be accepted by CloudFront.
   *
   * @default one minute
   */
  readonly freshWithin?: Duration;

  /** Topics that are told of alarms. */
  readonly alarmTopics?: sns.ITopic[];
}

const timeout = Duration.seconds(60);

/** All that keeps distributions fresh behind a bucket: what freshet aws install makes, and alarms. */
export class Freshet extends Construct {
  readonly function: lambda.IFunction;
  readonly queue: sqs.IQueue;
  readonly deadLetters: sqs.IQueue;
  readonly alarms: cloudwatch.IAlarm[];

  constructor(scope: Construct, id: string, props: FreshetProps) {
    super(scope, id);
    check(props);
    const stack = Stack.of(this);
    const name = props.name ?? 'freshet';
    const distributions = (props.distributions ?? []).map((d) => (typeof d === 'string' ? d : d.distributionId));
    const words: Words = {
      partition: stack.partition, account: stack.account, region: stack.region,
      name, bucket: props.bucket.bucketName, table: props.table ?? '',
    };

    const { queue, deadLetters, policy } = this.queues(words);
    const role = this.role(words, {
      distributions, table: props.table !== undefined, configuration: props.configuration,
      codePipeline: props.codePipeline ?? false, repositories: props.repositories ?? [],
    });
    this.queue = queue;
    this.deadLetters = deadLetters;
    this.function = this.invalidator(name, role, distributions, props);
    new lambda.EventSourceMapping(this, 'Source', {
      target: this.function,
      eventSourceArn: queue.queueArn,
      batchSize: 1000,
      maxBatchingWindow: Duration.seconds(1),
      reportBatchItemFailures: true,
      maxConcurrency: Math.max(2, concurrency(props)),
    });
    this.notify(props, policy);
    this.alarms = this.watch(props);
  }

  private queues(words: Words) {
    const deadLetters = new sqs.Queue(this, 'DeadLetters', {
      queueName: `${words.name}-dead`,
      retentionPeriod: Duration.days(14),
      encryption: sqs.QueueEncryption.SQS_MANAGED,
    });
    const queue = new sqs.Queue(this, 'Queue', {
      queueName: words.name,
      visibilityTimeout: Duration.seconds(6 * timeout.toSeconds()),
      encryption: sqs.QueueEncryption.SQS_MANAGED,
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: 10 },
    });
    const policy = new sqs.CfnQueuePolicy(this, 'QueuePolicy', {
      queues: [queue.queueUrl],
      policyDocument: queuePolicy(words),
    });
    return { queue, deadLetters, policy };
  }

  private role(words: Words, needs: Needs): iam.IRole {
    const role = new iam.CfnRole(this, 'Role', {
      roleName: words.name,
      assumeRolePolicyDocument: trustPolicy(words),
      policies: [{ policyName: 'freshet', policyDocument: rolePolicy(words, needs) }],
    });
    // Not mutable: what the CDK would grant by itself is not wanted.
    return iam.Role.fromRoleArn(this, 'TheRole', role.attrArn, { mutable: false });
  }

  private invalidator(name: string, role: iam.IRole, distributions: string[], props: FreshetProps): lambda.IFunction {
    const log = new logs.LogGroup(this, 'Logs', {
      logGroupName: `/aws/lambda/${name}`,
      retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const environment = { ...props.environment };
    if (distributions.length > 0) {
      environment.FRESHET_DISTRIBUTIONS = [...new Set(distributions)].sort().join(',');
    }
    if (props.table !== undefined) {
      environment.FRESHET_QUOTA_TABLE = props.table;
      new dynamodb.Table(this, 'Table', {
        tableName: props.table,
        partitionKey: { name: 'id', type: dynamodb.AttributeType.STRING },
        billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
        removalPolicy: RemovalPolicy.DESTROY,
      });
    }
    if (props.configuration !== undefined) {
      environment.FRESHET_CONFIG = props.configuration;
    }
    const f = new lambda.Function(this, 'Function', {
      functionName: name,
      role,
      code: props.code,
      runtime: lambda.Runtime.PROVIDED_AL2023,
      handler: 'bootstrap',
      architecture: lambda.Architecture.ARM_64,
      memorySize: 256,
      timeout,
      reservedConcurrentExecutions: concurrency(props),
      environment,
    });
    f.node.addDependency(log);
    return f;
  }

  /**
   * Adds the rule to those of the bucket. Of a bucket that is imported the CDK
   * manages the rules with a function of its own, which leaves others' alone.
   */
  private notify(props: FreshetProps, policy: Construct) {
    const filters = props.prefix || props.suffix ? [{ prefix: props.prefix, suffix: props.suffix }] : [];
    const destination: s3.IBucketNotificationDestination = {
      // S3 tries the queue when it gets the rule, so the queue's policy comes first.
      bind: () => ({ arn: this.queue.queueArn, type: s3.BucketNotificationDestinationType.QUEUE, dependencies: [policy] }),
    };
    for (const event of [s3.EventType.LIFECYCLE_EXPIRATION, s3.EventType.OBJECT_CREATED, s3.EventType.OBJECT_REMOVED]) {
      props.bucket.addEventNotification(event, destination, ...filters);
    }
  }

  private watch(props: FreshetProps): cloudwatch.IAlarm[] {
    const late = (props.freshWithin ?? Duration.minutes(1)).toSeconds();
    const own = (metricName: string, statistic: string) =>
      new cloudwatch.Metric({
        namespace: 'freshet', metricName, statistic, period: Duration.minutes(5),
        dimensionsMap: { FunctionName: this.function.functionName },
      });
    const alarm = (id: string, metric: cloudwatch.IMetric, threshold: number, evaluationPeriods: number, alarmDescription: string) => {
      const a = new cloudwatch.Alarm(this, id, {
        metric, threshold, evaluationPeriods, alarmDescription,
        comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
      });
      a.addAlarmAction(...(props.alarmTopics ?? []).map((topic) => new SnsAction(topic)));
      return a;
    };
    const queued = (queue: sqs.IQueue, metricName: string) =>
      new cloudwatch.Metric({
        namespace: 'AWS/SQS', metricName, statistic: 'Maximum', period: Duration.minutes(5),
        dimensionsMap: { QueueName: queue.queueName },
      });
    return [
      alarm('DeadLetterAlarm', queued(this.deadLetters, 'ApproximateNumberOfMessagesVisible'), 0, 1,
        'Changes that could not be invalidated lie in the dead-letter queue'),
      alarm('AgeAlarm', queued(this.queue, 'ApproximateAgeOfOldestMessage'), late, 1, 'Changes wait too long in the queue'),
      alarm('AcceptedAlarm', own('AcceptedWithin', 'p99'), late, 1, 'CloudFront accepts invalidations too long after the change'),
      alarm('FreshAlarm', own('FreshWithin', 'p99'), late, 1,
        'Invalidations are completed too long after the change; only measured with FRESHET_WAIT=completed'),
      alarm('FailedAlarm', own('Failed', 'Sum'), 0, 3, 'Changes have failed for a quarter of an hour; they are still tried again'),
    ];
  }
}

function concurrency(props: FreshetProps): number {
  return props.concurrency ?? (props.table === undefined ? 1 : 5);
}

/** Throws an error that says all that is wrong with props. */
function check(props: FreshetProps) {
  const problems: string[] = [];
  const demand = (ok: boolean, problem: string) => ok || problems.push(problem);
  const matches = (value: string | undefined, pattern: RegExp) => value === undefined || Token.isUnresolved(value) || pattern.test(value);
  demand(matches(props.name, /^[A-Za-z0-9_-]{1,64}$/), `name: ${props.name} must be 1 to 64 letters, digits, hyphens or underscores`);
  demand(matches(props.table, /^[A-Za-z0-9_.-]{3,255}$/), `table: ${props.table} is no name of a DynamoDB table`);
  demand(Number.isInteger(concurrency(props)) && concurrency(props) >= 1, 'concurrency: at least 1 is needed');
  demand(concurrency(props) === 1 || props.table !== undefined, "concurrency: functions at a time share CloudFront's quota only through a table");
  for (const d of props.distributions ?? []) {
    demand(typeof d !== 'string' || matches(d, /^([A-Z0-9]{2,64}|dt_[A-Za-z0-9]{1,61})$/), `distribution: ${String(d)} is no ID such as E2EXAMPLE1234`);
  }
  for (const r of props.repositories ?? []) {
    demand(matches(r, /^[A-Za-z0-9_.-]{1,100}$/), `repository: ${r} is no name of a CodeCommit repository`);
  }
  const configuration = props.configuration;
  demand(!configuration?.startsWith('ssm:') || matches(configuration, /^ssm:[A-Za-z0-9_./-]+$/), `configuration: ${configuration} is no name of an SSM parameter`);
  demand(!configuration?.startsWith('s3://') || matches(configuration, /^s3:\/\/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\/[A-Za-z0-9!_.()/=-]+$/),
    `configuration: ${configuration} is not s3://BUCKET/KEY with a plain key`);
  if (problems.length > 0) {
    throw new Error(problems.join('\n'));
  }
}
