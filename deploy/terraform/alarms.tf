resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Changes that could not be invalidated lie in the dead-letter queue"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "age" {
  alarm_name          = "${var.name}-age"
  alarm_description   = "Changes wait too long in the queue"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.changes.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  threshold           = var.fresh_within
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "accepted" {
  alarm_name          = "${var.name}-accepted"
  alarm_description   = "CloudFront accepts invalidations too long after the change"
  namespace           = "freshet"
  metric_name         = "AcceptedWithin"
  dimensions          = { FunctionName = aws_lambda_function.freshet.function_name }
  extended_statistic  = "p99"
  period              = 300
  evaluation_periods  = 1
  threshold           = var.fresh_within
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "fresh" {
  alarm_name          = "${var.name}-fresh"
  alarm_description   = "Invalidations are completed too long after the change; only measured with FRESHET_WAIT=completed"
  namespace           = "freshet"
  metric_name         = "FreshWithin"
  dimensions          = { FunctionName = aws_lambda_function.freshet.function_name }
  extended_statistic  = "p99"
  period              = 300
  evaluation_periods  = 1
  threshold           = var.fresh_within
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "failed" {
  alarm_name          = "${var.name}-failed"
  alarm_description   = "Changes have failed for a quarter of an hour; they are still tried again"
  namespace           = "freshet"
  metric_name         = "Failed"
  dimensions          = { FunctionName = aws_lambda_function.freshet.function_name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topics
  tags                = var.tags
}
