locals {
  rule = {
    id            = "freshet-${var.name}"
    queue_arn     = aws_sqs_queue.changes.arn
    events        = ["s3:LifecycleExpiration:*", "s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    filter_prefix = var.prefix
    filter_suffix = var.suffix
  }
}

resource "aws_s3_bucket_notification" "changes" {
  count = var.notification == "own" ? 1 : 0

  bucket      = var.bucket
  eventbridge = var.eventbridge

  queue {
    id            = local.rule.id
    queue_arn     = local.rule.queue_arn
    events        = local.rule.events
    filter_prefix = local.rule.filter_prefix
    filter_suffix = local.rule.filter_suffix
  }

  dynamic "queue" {
    for_each = [for r in var.other_rules : r if r.queue_arn != null]
    content {
      id            = queue.value.id
      queue_arn     = queue.value.queue_arn
      events        = queue.value.events
      filter_prefix = queue.value.filter_prefix
      filter_suffix = queue.value.filter_suffix
    }
  }

  dynamic "topic" {
    for_each = [for r in var.other_rules : r if r.topic_arn != null]
    content {
      id            = topic.value.id
      topic_arn     = topic.value.topic_arn
      events        = topic.value.events
      filter_prefix = topic.value.filter_prefix
      filter_suffix = topic.value.filter_suffix
    }
  }

  dynamic "lambda_function" {
    for_each = [for r in var.other_rules : r if r.lambda_function_arn != null]
    content {
      id                  = lambda_function.value.id
      lambda_function_arn = lambda_function.value.lambda_function_arn
      events              = lambda_function.value.events
      filter_prefix       = lambda_function.value.filter_prefix
      filter_suffix       = lambda_function.value.filter_suffix
    }
  }

  # S3 tries the queue when it gets the rule.
  depends_on = [aws_sqs_queue_policy.changes]
}
