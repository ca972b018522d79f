data "aws_caller_identity" "here" {}
data "aws_partition" "here" {}
data "aws_region" "here" {}

module "policies" {
  source = "./policies"

  partition     = data.aws_partition.here.partition
  account       = data.aws_caller_identity.here.account_id
  region        = data.aws_region.here.region
  name          = var.name
  bucket        = var.bucket
  distributions = var.distributions
  table         = var.table
  configuration = var.configuration
  codepipeline  = var.codepipeline
  repositories  = var.repositories
}

locals {
  concurrency = coalesce(var.concurrency, var.table == "" ? 1 : 5)

  environment = { for name, value in {
    FRESHET_DISTRIBUTIONS = join(",", sort(distinct(var.distributions)))
    FRESHET_QUOTA_TABLE   = var.table
    FRESHET_CONFIG        = var.configuration
  } : name => value if value != "" }
}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue" "changes" {
  name                       = var.name
  visibility_timeout_seconds = 360
  sqs_managed_sse_enabled    = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = 10
  })
  tags = var.tags
}

resource "aws_sqs_queue_policy" "changes" {
  queue_url = aws_sqs_queue.changes.url
  policy    = module.policies.queue
}

resource "aws_dynamodb_table" "quota" {
  count = var.table == "" ? 0 : 1

  name         = var.table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"
  tags         = var.tags

  attribute {
    name = "id"
    type = "S"
  }
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention
  tags              = var.tags
}

resource "aws_iam_role" "function" {
  name               = var.name
  assume_role_policy = module.policies.trust
  tags               = var.tags
}

resource "aws_iam_role_policy" "function" {
  name   = "freshet"
  role   = aws_iam_role.function.name
  policy = module.policies.role
}

resource "aws_lambda_function" "freshet" {
  function_name                  = var.name
  role                           = aws_iam_role.function.arn
  filename                       = var.zip
  source_code_hash               = filebase64sha256(var.zip)
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = ["arm64"]
  memory_size                    = 256
  timeout                        = 60
  reserved_concurrent_executions = local.concurrency
  tags                           = var.tags

  environment {
    variables = merge(var.environment, local.environment)
  }

  lifecycle {
    precondition {
      condition     = local.concurrency == 1 || var.table != ""
      error_message = "Functions that run at the same time share CloudFront's quota only through a table."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function]
}

resource "aws_lambda_event_source_mapping" "changes" {
  event_source_arn                   = aws_sqs_queue.changes.arn
  function_name                      = aws_lambda_function.freshet.arn
  batch_size                         = 1000
  maximum_batching_window_in_seconds = 1
  function_response_types            = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = max(2, local.concurrency)
  }
}
