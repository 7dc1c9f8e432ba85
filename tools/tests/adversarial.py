# SPDX-License-Identifier: Apache-2.0
"""JSON that tries the limits of DynamoDB, of JSON and of those who read it. The same for the same seed."""

import json
import random
from collections.abc import Callable, Iterator

ITEM_BYTES = 400 << 10
NAME_BYTES = 65_535
KEY_BYTES = 2048
DEPTH = 32


def records(seed: int, count: int) -> Iterator[bytes]:
    """Plaintexts, most of them JSON objects with an `id` of their own, in no particular order."""
    chance = random.Random(seed)
    makers = [*[attribute] * 30, *[nested] * 4, *[key] * 4, *[name] * 4, *[malformed] * 6]
    plaintexts = [*edges(), *(chance.choice(makers)(chance, f"{number}") for number in range(count))]
    chance.shuffle(plaintexts)
    return iter(plaintexts)


def attribute(chance: random.Random, identity: str) -> bytes:
    return f'{{"id":"{identity}","v":{value(chance)}}}'.encode()


def value(chance: random.Random, levels: int = 3) -> str:
    """The JSON text of any value."""
    makers: list[Callable[[], str]] = [lambda: number(chance)] * 6 + [lambda: text(chance)] * 4
    makers += [lambda: chance.choice(["true", "false", "null", "[]", "{}", '""'])]
    if levels:
        makers += [lambda: "[" + ",".join(value(chance, levels - 1) for _ in range(chance.randrange(4))) + "]"]
        makers += [lambda: "{" + ",".join(member(chance, levels) for _ in range(chance.randrange(4))) + "}"]
    return chance.choice(makers)()


def member(chance: random.Random, levels: int) -> str:
    # Repeated names are likely, and the last one counts.
    return f"{chance.choice([text(chance, 1), json.dumps(chance.choice('abc'))])}:{value(chance, levels - 1)}"


def number(chance: random.Random) -> str:
    sign = chance.choice(["", "", "-"])
    digits = "".join(chance.choices("0123456789", k=chance.choice([1, 2, 5, 17, 37, 38, 39, 45])))
    digits += "0" * chance.choice([0, 0, 0, 1, 40, 130])
    whole = digits.lstrip("0") or "0"
    fraction = chance.choice(["", "", "." + "".join(chance.choices("0019", k=chance.choice([1, 3, 37, 38]))), ".0"])
    exponents = [0, 1, -1, 20, 87, 88, 125, 126, -92, -129, -130, -131, -168, 999, -999, 10**25]
    exponent = chance.choice(["", "", f"{chance.choice('eE')}{chance.choice(exponents):{chance.choice(['', '+'])}d}"])
    return sign + whole + fraction + exponent


def text(chance: random.Random, shortest: int = 0) -> str:
    characters = ["a", "ß", "佐", "🙂", "\u0000", "\u001f", "\ufeff", "\uffff", "\u2028", '"', "\\", "/", "#", ":", "."]
    plain = json.dumps(
        "".join(chance.choices(characters, k=chance.randrange(shortest, 6))), ensure_ascii=chance.random() < 0.5
    )
    # An escape that is half a character, one time in twenty.
    return plain if chance.random() < 0.95 else plain[:-1] + chance.choice(["\\ud83d", "\\ude42", "\\ud83dx"]) + '"'


def nested(chance: random.Random, identity: str) -> bytes:
    levels = chance.choice([1, 2, DEPTH - 2, DEPTH - 1, DEPTH, DEPTH + 1, DEPTH + 2, 128, 5000])
    opening = chance.choices(["[", '{"a":'], k=levels)
    closing = ["]" if part == "[" else "}" for part in reversed(opening)]
    return f'{{"id":"{identity}","v":{"".join(opening)}1{"".join(closing)}}}'.encode()


def key(chance: random.Random, identity: str) -> bytes:
    length = chance.choice([KEY_BYTES - 1, KEY_BYTES, KEY_BYTES + 1]) - len(identity)
    keys = [f'"{identity}{"k" * length}"', f'"{identity}ß🙂"', f'"{identity}\\u0000"', '""', identity, "null", "[]"]
    chosen = chance.choice(keys)
    return chance.choice([f'{{"id":{chosen}}}', f'{{"Id":{chosen}}}', f'{{"id":1,"id":{chosen}}}']).encode()


def name(chance: random.Random, identity: str) -> bytes:
    names = [json.dumps(chance.choice(["", "a.b", "#a", ":a", "id ", "🙂", "\u0000", "__proto__"])), text(chance)]
    inner = f"{{{chance.choice(names)}:1}}"
    return chance.choice([f'{{"id":"{identity}","v":{inner}}}', f'{{"id":"{identity}",{inner[1:]}']).encode()


def malformed(chance: random.Random, identity: str) -> bytes:
    whole = f'{{"id":"{identity}","v":[1,{{"a":"b"}}]}}'.encode()
    cut = chance.randrange(len(whole))
    garbage = [
        b"NaN",
        b"Infinity",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"'a'",
        b"nul",
        b'"\\x"',
        b'"\t"',
        b'"\xff"',
        b"",
    ]
    return chance.choice(
        [
            whole[:cut],
            whole + chance.choice([b"}", b",", b" ", b"\n", b"\x00", b"{}", whole]),
            chance.choice([b"\xef\xbb\xbf", b" \n", b"\xc2\xa0"]) + whole,
            whole.replace(b"1", chance.choice(garbage), 1),
            whole[:cut] + bytes([chance.randrange(256)]) + whole[cut + 1 :],
            chance.choice([b"", b"1", b'"a"', b"null", b"true", b"[]", b"[1]", b"[{}]", b"[[]]"]),
        ]
    )


def edges() -> Iterator[bytes]:
    """Items and names at the limits of their size, which are too large to have many of."""
    # DynamoDB counts what a list and its elements take besides their characters, so its limit lies within a range.
    for kind, form, around in (
        ("text", '"{}"', range(-3, 4)),
        ("list", '["{}",null,true,1]', range(-16, 1)),
        ("number", '[123,"{}"]', range(-16, 1)),
    ):
        for extra in around:
            identity = f"size-{kind}-{extra}"
            rest = ITEM_BYTES - len("id") - len(identity) - len("v") + extra
            yield f'{{"id":"{identity}","v":{form.format("x" * rest)}}}'.encode()
    for length in (NAME_BYTES - 1, NAME_BYTES, NAME_BYTES + 1):
        yield f'{{"id":"name-{length}","{"n" * length}":1}}'.encode()
        yield f'{{"id":"inner-{length}","v":{{"{"n" * length}":1}}}}'.encode()
