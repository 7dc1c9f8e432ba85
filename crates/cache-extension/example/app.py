# SPDX-License-Identifier: Apache-2.0
"""A function that reads its configuration through the extension."""

import json
import os
import urllib.error
import urllib.request

URL = f"http://127.0.0.1:{os.environ.get('CACHE_EXTENSION_PORT', '3000')}"


def cached(path: str) -> str:
    request = urllib.request.Request(
        URL + path, headers={"X-Aws-Parameters-Secrets-Token": os.environ["AWS_SESSION_TOKEN"]}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        # The body is JSON and says what is wrong.
        raise RuntimeError(f"{path}: {error.status} {error.read().decode()}") from error


def handler(event, context):
    return {
        "greeting": cached("/parameters?name=/cache-extension-example/greeting"),
        "prices": json.loads(cached("/dynamodb?table=cache-extension-example&hash=prices")),
    }
