output "function_arn" {
  description = "Function that invalidates."
  value       = aws_lambda_function.freshet.arn
}

output "queue_arn" {
  description = "Queue that the bucket notifies."
  value       = aws_sqs_queue.changes.arn
}

output "dead_letters_url" {
  description = "Queue of the changes that could not be invalidated."
  value       = aws_sqs_queue.dead.url
}

output "role_arn" {
  description = "The function's role."
  value       = aws_iam_role.function.arn
}

output "rule" {
  description = "The notification rule, for a queue block in an aws_s3_bucket_notification of your own, which has to depend on this module."
  value       = local.rule
}
