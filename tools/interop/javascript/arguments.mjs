// SPDX-License-Identifier: Apache-2.0

import { parseArgs } from "node:util";

/** The command line's options by name, every one of `required` among them; ends the process if they are not right. */
export function parseOptions(required, flags = []) {
  const of = (type) => (name) => [name, { type }];
  const options = Object.fromEntries([...required.map(of("string")), ...flags.map(of("boolean"))]);
  try {
    const { values } = parseArgs({ options });
    const missing = required.filter((name) => !(name in values));
    if (missing.length === 0) {
      return values;
    }
    console.error(`missing: ${missing.map((name) => `--${name}`).join(", ")}`);
  } catch (error) {
    console.error(error.message);
  }
  process.exit(2);
}
