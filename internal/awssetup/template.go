package awssetup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
)

type (
	object = map[string]any
	list   = []any
)

// Template is a CloudFormation template of everything that Install makes, and of
// alarms. What only CloudFormation knows stands in it as parameters.
//
// A template cannot add a notification rule to a bucket that is there already;
// its output says the command that does.
func Template() ([]byte, error) {
	s := templated
	resources := queues(s)
	maps.Copy(resources, function(s))
	maps.Copy(resources, alarms())
	maps.Copy(resources, bucket())
	text, err := json.Marshal(object{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "freshet: invalidates at CloudFront what changes in a bucket",
		"Parameters":               parameters(),
		"Conditions":               conditions(),
		"Resources":                resources,
		"Outputs":                  outputs(),
	})
	if err != nil {
		return nil, fmt.Errorf("write the template: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, substituted(text), "", "  "); err != nil {
		return nil, fmt.Errorf("write the template: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// templated is a site of parameters: in a template, ${X} is the value of X.
var templated = Site{
	Name: "${Name}", Bucket: "${BucketName}", Distributions: []string{"${DistributionId}"},
	Architecture: ARM64, Account: "${AWS::AccountId}", Region: "${AWS::Region}", Partition: "${AWS::Partition}",
}

// withParameter finds JSON strings in which a parameter stands. No string of a
// template has a quote in it.
var withParameter = regexp.MustCompile(`"[^"]*\$\{[^"]*"`)

func substituted(text []byte) []byte {
	return withParameter.ReplaceAll(text, []byte(`{"Fn::Sub":$0}`))
}

func ref(name string) object                   { return object{"Ref": name} }
func arnOf(name string) object                 { return object{"Fn::GetAtt": list{name, "Arn"}} }
func ifElse(cond string, then, not any) object { return object{"Fn::If": list{cond, then, not}} }
func ifOnly(cond string, then any) object      { return ifElse(cond, then, ref("AWS::NoValue")) }

func text(about, value, pattern string) object {
	p := object{"Type": "String", "Description": about}
	if value != "-" {
		p["Default"] = value
	}
	if pattern != "" {
		p["AllowedPattern"] = pattern
	}
	return p
}

func number(about string, value, least int) object {
	return object{"Type": "Number", "Description": about, "Default": value, "MinValue": least}
}

func choice(about string) object {
	return object{"Type": "String", "Description": about, "Default": "no", "AllowedValues": list{"yes", "no"}}
}

func parameters() object {
	return object{
		"Name":           text("Of the function, its queue, its role and its log group", DefaultName, "^[A-Za-z0-9_-]{1,48}$"),
		"BucketName":     text("Bucket whose changes are followed", "-", "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
		"CreateBucket":   choice("Make the bucket, with its notification rule"),
		"Prefix":         text("Of the keys that are followed, if CreateBucket is yes; as S3 wants it in a rule, which is with + for a space", "", ""),
		"Suffix":         text("Of the keys that are followed, if CreateBucket is yes", "", ""),
		"DistributionId": text("CloudFront distribution in front of the bucket", "-", "^[A-Z0-9]+$"),
		"CodeBucket":     text("Bucket in which the function's zip lies, in this region", "-", ""),
		"CodeKey":        text("Key of the function's zip, which is built by make lambda", "-", ""),
		"CreateTable":    choice("Make a DynamoDB table in which concurrent functions share CloudFront's quota"),
		"Concurrency":    number("Functions at a time; more than one only with a table", 1, 1),
		"LogRetention":   object{"Type": "Number", "Description": "Days for which logs are kept", "Default": retentionDays, "AllowedValues": list{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365}},
		"FreshWithin":    number("Seconds within which 99 of 100 changes are to be accepted by CloudFront", 60, 1),
		"Architecture":   object{"Type": "String", "Description": "What the zip is built for", "Default": ARM64, "AllowedValues": list{ARM64, X8664}},
		"AlarmTopic":     text("ARN of an SNS topic that is told of alarms", "", ""),
	}
}

func conditions() object {
	yes := func(parameter string) object { return object{"Fn::Equals": list{ref(parameter), "yes"}} }
	given := func(parameter string) object {
		return object{"Fn::Not": list{object{"Fn::Equals": list{ref(parameter), ""}}}}
	}
	named := func(condition string) object { return object{"Condition": condition} }
	return object{
		"MakesBucket": yes("CreateBucket"), "HasTable": yes("CreateTable"), "HasTopic": given("AlarmTopic"),
		"HasPrefix": given("Prefix"), "HasSuffix": given("Suffix"),
		"IsAlone":   object{"Fn::Equals": list{ref("Concurrency"), "1"}},
		"HasFilter": object{"Fn::Or": list{named("HasPrefix"), named("HasSuffix")}},
		"LeftOut":   object{"Fn::Not": list{named("MakesBucket")}},
	}
}

func queues(s Site) object {
	return object{
		"DeadLetters": object{"Type": "AWS::SQS::Queue", "Properties": object{
			"QueueName": s.DeadLetters(), "MessageRetentionPeriod": deadForSeconds, "SqsManagedSseEnabled": true,
		}},
		"Queue": object{"Type": "AWS::SQS::Queue", "Properties": object{
			"QueueName": s.Name, "VisibilityTimeout": visibility, "SqsManagedSseEnabled": true,
			"RedrivePolicy": object{"deadLetterTargetArn": arnOf("DeadLetters"), "maxReceiveCount": receives},
		}},
		"QueuePolicy": object{"Type": "AWS::SQS::QueuePolicy", "Properties": object{
			"Queues": list{ref("Queue")}, "PolicyDocument": s.QueuePolicy(),
		}},
	}
}

func function(s Site) object {
	table := s
	table.Table = "${Table}"
	return object{
		"Logs": object{"Type": "AWS::Logs::LogGroup", "Properties": object{"LogGroupName": s.LogGroup(), "RetentionInDays": ref("LogRetention")}},
		"Table": object{"Type": "AWS::DynamoDB::Table", "Condition": "HasTable", "Properties": object{
			"BillingMode":          "PAY_PER_REQUEST",
			"AttributeDefinitions": list{object{"AttributeName": "id", "AttributeType": "S"}},
			"KeySchema":            list{object{"AttributeName": "id", "KeyType": "HASH"}},
		}},
		"Role": object{"Type": "AWS::IAM::Role", "Properties": object{
			"AssumeRolePolicyDocument": s.TrustPolicy(),
			"Policies":                 list{object{"PolicyName": DefaultName, "PolicyDocument": s.RolePolicy()}},
		}},
		"TablePolicy": object{"Type": "AWS::IAM::RolePolicy", "Condition": "HasTable", "Properties": object{
			"PolicyName": DefaultName + "-quota", "RoleName": ref("Role"), "PolicyDocument": table.TablePolicy(),
		}},
		"Function": object{"Type": "AWS::Lambda::Function", "DependsOn": list{"Logs"}, "Properties": object{
			"FunctionName": s.Name, "Role": arnOf("Role"), "Runtime": runtime, "Handler": handler, "Architectures": list{ref("Architecture")},
			"MemorySize": memory, "Timeout": timeout, "ReservedConcurrentExecutions": ref("Concurrency"),
			"Code": object{"S3Bucket": ref("CodeBucket"), "S3Key": ref("CodeKey")},
			"Environment": object{"Variables": object{
				"FRESHET_DISTRIBUTIONS": ref("DistributionId"), "FRESHET_QUOTA_TABLE": ifOnly("HasTable", ref("Table")),
			}},
		}},
		"Source": object{"Type": "AWS::Lambda::EventSourceMapping", "Properties": object{
			"EventSourceArn": arnOf("Queue"), "FunctionName": ref("Function"), "BatchSize": batchSize,
			"MaximumBatchingWindowInSeconds": batchWindow, "FunctionResponseTypes": list{"ReportBatchItemFailures"},
			"ScalingConfig": object{"MaximumConcurrency": ifElse("IsAlone", leastScaling, ref("Concurrency"))},
		}},
	}
}

func alarms() object {
	late := func(metric, about string) object {
		return object{"Type": "AWS::CloudWatch::Alarm", "Properties": object{
			"AlarmDescription": about, "Namespace": Namespace, "MetricName": metric,
			"Dimensions":        list{object{"Name": "FunctionName", "Value": ref("Function")}},
			"ExtendedStatistic": "p99", "Period": AlarmSeconds, "EvaluationPeriods": 1, "Threshold": ref("FreshWithin"),
			"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
			"AlarmActions": ifOnly("HasTopic", list{ref("AlarmTopic")}),
		}}
	}
	return object{
		"DeadLetterAlarm": object{"Type": "AWS::CloudWatch::Alarm", "Properties": object{
			"AlarmDescription": aboutDead,
			"Namespace":        "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible",
			"Dimensions": list{object{"Name": "QueueName", "Value": object{"Fn::GetAtt": list{"DeadLetters", "QueueName"}}}},
			"Statistic":  "Maximum", "Period": AlarmSeconds, "EvaluationPeriods": 1, "Threshold": 0,
			"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
			"AlarmActions": ifOnly("HasTopic", list{ref("AlarmTopic")}),
		}},
		"AgeAlarm": object{"Type": "AWS::CloudWatch::Alarm", "Properties": object{
			"AlarmDescription": aboutAge, "Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage",
			"Dimensions": list{object{"Name": "QueueName", "Value": object{"Fn::GetAtt": list{"Queue", "QueueName"}}}},
			"Statistic":  "Maximum", "Period": AlarmSeconds, "EvaluationPeriods": 1, "Threshold": ref("FreshWithin"),
			"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
			"AlarmActions": ifOnly("HasTopic", list{ref("AlarmTopic")}),
		}},
		"AcceptedAlarm": late("AcceptedWithin", aboutLate),
		"FreshAlarm":    late("FreshWithin", "Invalidations are completed too long after the change; only measured with FRESHET_WAIT=completed"),
		"FailedAlarm": object{"Type": "AWS::CloudWatch::Alarm", "Properties": object{
			"AlarmDescription": "Changes have failed for a quarter of an hour; they are still tried again",
			"Namespace":        Namespace, "MetricName": "Failed",
			"Dimensions": list{object{"Name": "FunctionName", "Value": ref("Function")}},
			"Statistic":  "Sum", "Period": AlarmSeconds, "EvaluationPeriods": 3, "Threshold": 0,
			"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
			"AlarmActions": ifOnly("HasTopic", list{ref("AlarmTopic")}),
		}},
	}
}

// bucket is made only if that is asked for, and outlives the stack. S3 tries the
// queue when it gets the rule, so the queue's policy comes first.
func bucket() object {
	var rules list
	for _, event := range Events() {
		rules = append(rules, object{"Event": event, "Queue": arnOf("Queue"), "Filter": ifOnly("HasFilter", object{"S3Key": object{"Rules": list{
			ifOnly("HasPrefix", object{"Name": "prefix", "Value": ref("Prefix")}),
			ifOnly("HasSuffix", object{"Name": "suffix", "Value": ref("Suffix")}),
		}}})})
	}
	return object{"Bucket": object{
		"Type": "AWS::S3::Bucket", "Condition": "MakesBucket", "DependsOn": list{"QueuePolicy"}, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain",
		"Properties": object{"BucketName": ref("BucketName"), "NotificationConfiguration": object{"QueueConfigurations": rules}},
	}}
}

func outputs() object {
	return object{
		"QueueArn":       object{"Description": "Queue that the bucket notifies", "Value": arnOf("Queue")},
		"DeadLettersUrl": object{"Description": "Queue of the changes that could not be invalidated", "Value": ref("DeadLetters")},
		"FunctionArn":    object{"Description": "Function that invalidates", "Value": arnOf("Function")},
		"NextStep": object{
			"Description": "A template cannot change the rules of a bucket that is there already; this does, and leaves other rules alone", "Condition": "LeftOut",
			"Value": "freshet aws install --only-notifications --name ${Name} --bucket ${BucketName} --region ${AWS::Region}",
		},
	}
}
