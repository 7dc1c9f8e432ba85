# SPDX-License-Identifier: Apache-2.0
"""Puts the resources of nested CloudFormation stacks into the template that nests them."""

import re
from collections.abc import Callable
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

STACK = "AWS::CloudFormation::Stack"
LISTS = re.compile(r"CommaDelimitedList|List<.*>")
VARIABLE = re.compile(r"\$\{([^!${}][^${}]*)\}")


def inline_nested_stacks(content: dict, folder: Path) -> dict:
    """The template without nested stacks. Their templates are files of that folder."""
    nested = {name: resource for name, resource in content["Resources"].items() if resource["Type"] == STACK}
    stacks = [NestedStack(name, resource, folder) for name, resource in nested.items()]
    for stack in stacks:
        del content["Resources"][stack.name]
        content["Conditions"] |= stack.conditions()
        content["Resources"] |= stack.resources()
    outputs = {f"{stack.name}.Outputs.{name}": value for stack in stacks for name, value in stack.outputs().items()}
    return rewrite(content, lambda node: get_output(node, outputs))


def get_output(node: dict, outputs: dict[str, object]) -> object:
    match node:
        case {"Fn::GetAtt": [str(resource), str(attribute)]}:
            return outputs.get(f"{resource}.{attribute}", node)
    return node


class NestedStack:
    """A nested stack, whose names get its own name as a prefix."""

    def __init__(self, name: str, resource: dict, folder: Path) -> None:
        self.name = name
        self._condition = resource.get("Condition")
        self._template = yaml_parse((folder / resource["Properties"]["TemplateURL"]).read_text(encoding="utf-8"))
        given = resource["Properties"]["Parameters"]
        self._arguments = {
            parameter: argument(declared, given.get(parameter, declared.get("Default")))
            for parameter, declared in self._template["Parameters"].items()
        }
        # One after the other, because a condition may name those before it.
        self._conditions: dict[str, object] = {}
        for inner, condition in self._template.get("Conditions", {}).items():
            self._conditions[inner] = self._condition_of_outer(condition)

    def _condition_of_outer(self, condition: object) -> object:
        found = evaluate(self._rewrite(condition))
        # A resource has one condition: its own holds only where the stack's does.
        return {"Fn::And": [{"Condition": self._condition}, found]} if self._condition else found

    def conditions(self) -> dict[str, object]:
        """The stack's conditions that are not one of the outer template's by another name."""
        named = {self._name(name): condition for name, condition in self._conditions.items()}
        return {name: condition for name, condition in named.items() if outer_name(condition) is None}

    def resources(self) -> dict[str, dict]:
        return {self._name(name): self._resource(resource) for name, resource in self._template["Resources"].items()}

    def outputs(self) -> dict[str, object]:
        return {name: self._rewrite(output["Value"]) for name, output in self._template.get("Outputs", {}).items()}

    def _resource(self, resource: dict) -> dict:
        resource = dict(resource)
        condition = self._condition_name(resource.pop("Condition")) if "Condition" in resource else self._condition
        depends = resource.pop("DependsOn", [])
        depends = [self._name(name) for name in ([depends] if isinstance(depends, str) else depends)]
        rewritten = rewrite(self._rewrite(resource), lambda node: choose(node, condition))
        return rewritten | ({"Condition": condition} if condition else {}) | ({"DependsOn": depends} if depends else {})

    def _condition_name(self, name: str) -> str:
        return outer_name(self._conditions.get(name)) or self._name(name)

    def _name(self, name: str) -> str:
        return self.name + name

    def _rewrite(self, value: object) -> object:
        return rewrite(value, self._node)

    def _node(self, node: dict) -> object:
        resources = self._template["Resources"]
        match node:
            case {"Ref": str(name)} if name in self._arguments:
                return self._arguments[name]
            case {"Ref": str(name)} if name in resources:
                return {"Ref": self._name(name)}
            case {"Fn::GetAtt": [str(name), attribute]}:
                return {"Fn::GetAtt": [self._name(name), attribute]}
            case {"Fn::If": [str(condition), then, otherwise]}:
                return {"Fn::If": [self._condition_name(condition), then, otherwise]}
            case {"Condition": str(condition)} if len(node) == 1:
                return {"Condition": self._condition_name(condition)}
            case {"Fn::Sub": str(text)}:
                return self._substitution(text, {})
            case {"Fn::Sub": [str(text), dict(variables)]}:
                return self._substitution(text, variables)
        return node

    def _substitution(self, text: str, variables: dict[str, object]) -> dict:
        """Fn::Sub, with the stack's arguments as variables and its resources by their new names."""
        variables = dict(variables)
        resources = self._template["Resources"]

        def renamed(found: re.Match) -> str:
            name, dot, attribute = found[1].partition(".")
            if name in variables:
                return found[0]
            if name in self._arguments:
                variables[name] = self._arguments[name]
                return found[0]
            return f"${{{self._name(name)}{dot}{attribute}}}" if name in resources else found[0]

        text = VARIABLE.sub(renamed, text)
        return {"Fn::Sub": [text, variables] if variables else text}


def argument(declared: dict, value: object) -> object:
    """What stands for a parameter of a nested stack. A list comes as a text."""
    is_list = LISTS.fullmatch(declared["Type"])
    return {"Fn::Split": [",", value]} if is_list else value


def evaluate(condition: object) -> object:
    """A condition without Fn::If, which CloudFormation allows in properties only.

    An argument that depends on a condition is compared with one of its values, so the condition decides.
    """
    match condition:
        case {"Fn::Equals": [{"Fn::If": [str(name), then, otherwise]}, value]}:
            if (then == value) == (otherwise == value):
                raise ValueError(f"{condition} does not tell the two apart")
            return {"Condition": name} if then == value else {"Fn::Not": [{"Condition": name}]}
        case {"Fn::Not": [inner]}:
            match evaluate(inner):
                case {"Fn::Not": [twice]}:
                    return twice
                case once:
                    return {"Fn::Not": [once]}
    return condition


def outer_name(condition: object) -> str | None:
    """The name of the outer template's condition that this one is, if it is one."""
    return condition["Condition"] if isinstance(condition, dict) and condition.keys() == {"Condition"} else None


def choose(node: dict, holds: str | None) -> object:
    """Fn::If without what never applies: where its condition holds, and inside of itself."""
    match node:
        case {"Fn::If": [str(condition), then, otherwise]}:
            then = rewrite(then, lambda inner: choose(inner, condition))
            return then if condition == holds else {"Fn::If": [condition, then, otherwise]}
    return node


def rewrite(value: object, node: Callable[[dict], object]) -> object:
    """A copy of a value of JSON in which `node` has replaced every object, the innermost first."""
    if isinstance(value, dict):
        return node({name: rewrite(child, node) for name, child in value.items()})
    if isinstance(value, list):
        return [rewrite(child, node) for child in value]
    return value
