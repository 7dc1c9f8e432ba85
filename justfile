# SPDX-License-Identifier: Apache-2.0
#
# What can be done in this repository. `just` is optional: each recipe is a script that runs on its own, with `--help`.

# List the recipes
default:
    @just --list

# Send sample records through the whole pipeline on a local AWS
demo *arguments:
    scripts/demo {{arguments}}

# Run every check and test; `--quick` for daily work
test *arguments:
    scripts/test {{arguments}}

# Check licences, bans, sources and the number of dependencies
check-dependencies:
    scripts/check-dependencies

# Measure on a quiet machine, and write docs/benchmarks.md
bench *parts:
    scripts/bench {{parts}}

# Send many records while AWS fails, and account for each
soak *arguments:
    scripts/soak {{arguments}}

# Kill a push while it delivers, resume it, and count what is lost
kill-push *arguments:
    scripts/kill-push {{arguments}}

# Fuzz the message format and the cache ids; needs a nightly toolchain
fuzz *minutes:
    scripts/fuzz {{minutes}}

# Build the functions and deploy the pipeline in every Region
deploy *arguments:
    scripts/deploy {{arguments}}

# Write the pipeline as one plain CloudFormation file
template *arguments:
    scripts/template {{arguments}}

# Delete the pipeline's stack in every Region
destroy *arguments:
    scripts/destroy {{arguments}}

# Estimate the AWS bill of a workload
cost *arguments:
    scripts/cost {{arguments}}

# Package every crate that can be published
package *arguments:
    scripts/package {{arguments}}
