# SPDX-License-Identifier: Apache-2.0
#
# The pipeline's stack in one Region. Repeat the module with a provider for each Region, those without a record-pusher
# first. `template` is the file that scripts/template writes, `functions` a folder with the functions' zip files.
variable "template" { type = string }
variable "functions" { type = string }
variable "bucket" { type = string }
variable "pusher_regions" {
  type    = list(string)
  default = []
}
variable "parameters" {
  type    = map(string)
  default = {}
}

locals {
  # Another prefix for other code, so that CloudFormation updates the functions.
  code = "sealstream/${sha256(join("", [for name in ["record-consumer", "record-pusher"] : filesha256("${var.functions}/${name}.zip")]))}/"
}

resource "aws_s3_object" "code" {
  for_each = toset(["record-consumer.zip", "record-pusher.zip"])
  bucket   = var.bucket
  key      = "${local.code}${each.value}"
  source   = "${var.functions}/${each.value}"
}

resource "aws_s3_object" "template" {
  bucket = var.bucket
  key    = "sealstream/${filesha256(var.template)}.json"
  source = var.template
}

resource "aws_cloudformation_stack" "sealstream" {
  # The keys' policies know the pushers' roles by the name of their stack, so every Region needs the same.
  name         = "sealstream"
  template_url = "https://${var.bucket}.s3.amazonaws.com/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM"]
  parameters = merge(var.parameters, {
    CodeBucket    = var.bucket
    CodeKey       = local.code
    PusherRegions = join(",", var.pusher_regions)
  })
  depends_on = [aws_s3_object.code]
}

output "stack" { value = aws_cloudformation_stack.sealstream.outputs }
