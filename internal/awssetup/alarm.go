package awssetup

import (
	"fmt"
	"strconv"
)

// Properties of alarms.
const (
	PropertyNamespace = "namespace"
	PropertyMetric    = "metric"
	PropertyDimension = "dimension" // its name
	PropertyOn        = "on"        // its value
	PropertyStatistic = "statistic" // p99, or one of CloudWatch's names
	PropertyThreshold = "threshold" // above which it raises the alarm
	PropertyTopic     = "topic"     // of SNS, told of it; empty: nobody is
	PropertyAbout     = "about"
)

// AlarmSeconds is over how long an alarm looks.
const AlarmSeconds = 300

// defaultFreshWithin is in seconds.
const defaultFreshWithin = 60

var isTopic = matching(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)

// alarms are what tells people that changes do not get through: some lie in the
// dead-letter queue, some wait for long, or CloudFront accepts them late.
func (s Site) alarms() []Resource {
	within := strconv.Itoa(s.FreshWithin)
	alarm := func(k Kind, name, about, namespace, metric, dimension, on, statistic, threshold string) Resource {
		return Resource{k, s.Name + "-" + name, map[string]string{
			PropertyAbout: about, PropertyNamespace: namespace, PropertyMetric: metric, PropertyDimension: dimension, PropertyOn: on,
			PropertyStatistic: statistic, PropertyThreshold: threshold, PropertyTopic: s.AlarmTopic,
		}}
	}
	return []Resource{
		alarm(DeadAlarm, "dead-letters", aboutDead, "AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", s.DeadLetters(), "Maximum", "0"),
		alarm(AgeAlarm, "age", aboutAge, "AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", s.Name, "Maximum", within),
		alarm(LateAlarm, "accepted", aboutLate, Namespace, "AcceptedWithin", "FunctionName", s.Name, "p99", within),
	}
}

const (
	aboutDead = "Changes that could not be invalidated lie in the dead-letter queue"
	aboutAge  = "Changes wait too long in the queue"
	aboutLate = "CloudFront accepts invalidations too long after the change"
)

func (s Site) checkAlarms() error {
	if s.AlarmTopic != "" && !isTopic(s.AlarmTopic) {
		return fmt.Errorf("alarm topic: %q is no ARN of an SNS topic, such as %s", s.AlarmTopic, s.ARN("sns", "alarms"))
	}
	if s.FreshWithin < 1 {
		return fmt.Errorf("fresh within: %d seconds, where at least 1 is needed", s.FreshWithin)
	}
	return nil
}
