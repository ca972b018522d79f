# The policies of one installation, from the documents in deploy/policies. This
# module has no resources and needs no provider.

variable "partition" { type = string }
variable "account" { type = string }
variable "region" { type = string }
variable "name" { type = string }
variable "bucket" { type = string }
variable "distributions" { type = list(string) }
variable "table" { type = string }
variable "configuration" { type = string }
variable "codepipeline" { type = bool }
variable "repositories" { type = list(string) }

locals {
  documents = "${path.module}/../../policies"
  words = {
    partition = var.partition
    account   = var.account
    region    = var.region
    name      = var.name
    bucket    = var.bucket
    table     = var.table
  }

  tenants       = sort(distinct([for id in var.distributions : id if startswith(id, "dt_")]))
  distributions = sort(distinct([for id in var.distributions : id if !startswith(id, "dt_")]))
  found         = length(var.distributions) == 0

  # What each part of the role's policy is for. A part without anything is left
  # out; one for something as such, and not for something named, has one empty name.
  parts = {
    "invalidate"            = local.found ? ["*"] : local.distributions
    "invalidate-tenants"    = local.tenants
    "tenants-distributions" = length(local.tenants) == 0 ? [] : [""]
    "cache-policies"        = [""]
    "find-distributions"    = local.found ? [""] : []
    "log"                   = [""]
    "queue-source"          = [""]
    "quota"                 = var.table == "" ? [] : [""]
    "configuration-ssm"     = startswith(var.configuration, "ssm:") ? [trimprefix(trimprefix(var.configuration, "ssm:"), "/")] : []
    "configuration-s3"      = startswith(var.configuration, "s3://") ? [trimprefix(var.configuration, "s3://")] : []
    "pipeline"              = var.codepipeline ? [""] : []
    "repository"            = sort(distinct(var.repositories))
  }
  order = [
    "invalidate", "invalidate-tenants", "tenants-distributions", "cache-policies", "find-distributions", "log", "queue-source",
    "quota", "configuration-ssm", "configuration-s3", "pipeline", "repository",
  ]

  statements = { for part, names in local.parts : part => [
    for name in names : jsondecode(templatefile("${local.documents}/${part}.json", merge(local.words, { of = name }))).Statement[0]
  ] }
  role = [for part in local.order : merge(local.statements[part][0], {
    Resource = distinct(flatten(local.statements[part][*].Resource))
  }) if length(local.statements[part]) > 0]

  # jsonencode sorts, and IAM has refused documents in which the version came last.
  document  = "{\"Version\":\"2012-10-17\",\"Statement\":%s}"
  role_text = format(local.document, jsonencode(local.role))
}

output "role" {
  description = "What the function may do."
  value       = local.role_text

  precondition {
    condition     = length(replace(local.role_text, "/\\s/", "")) <= 10240
    error_message = "The role's policy is longer than IAM allows, 10,240 characters: name fewer distributions and repositories."
  }
}

output "trust" {
  description = "Who may take the role."
  value       = format(local.document, jsonencode(jsondecode(file("${local.documents}/trust.json")).Statement))
}

output "queue" {
  description = "Who may put messages into the queue."
  value       = format(local.document, jsonencode(jsondecode(templatefile("${local.documents}/queue.json", local.words)).Statement))
}
