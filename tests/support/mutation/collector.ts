/**
 * Stands in for `@std/testing/bdd` in the workshop: keeps the cases instead of running them, so
 * that the worker can run any of them as often as it likes in one process.
 *
 * `before` and `after` run around every single case: each run of a case stands for itself.
 */

/** What a hook or a case does. */
type Body = () => unknown;

interface Suite {
  readonly name: string;
  readonly outer: Suite | undefined;
  readonly before: Body[];
  readonly after: Body[];
}

/** A case that can be run. */
export interface Case {
  /** File, groups and criterion. */
  readonly name: string;
  /** Runs it with its hooks; rejects if it fails. */
  run(): Promise<void>;
}

/** All cases in the order of their registration. */
export const CASES: Case[] = [];

function suiteOf(name: string, outer?: Suite): Suite {
  return { name, outer, before: [], after: [] };
}

let current = suiteOf("");

/** Names the file whose cases come next. */
export function beginFile(name: string): void {
  current = suiteOf(name);
}

function chain(suite: Suite | undefined): readonly Suite[] {
  return suite === undefined ? [] : [...chain(suite.outer), suite];
}

async function runCase(suite: Suite, body: Body): Promise<void> {
  const suites = chain(suite);
  try {
    for (const { before } of suites) for (const hook of before) await hook();
    await body();
  } finally {
    for (const { after } of suites.toReversed()) for (const hook of after) await hook();
  }
}

/** Registers a group. */
export function describe(name: string, body: Body): void {
  const outer = current;
  current = suiteOf(name, outer);
  body();
  current = outer;
}

/** Registers a case. */
export function it(name: string, body: Body): void {
  const suite = current;
  const names = [...chain(suite).map((each) => each.name), name];
  CASES.push({ name: names.join(" > "), run: () => runCase(suite, body) });
}

/** A skipped case is none. */
it.skip = (_name: string, _body: Body): void => {};

/** Registers a hook that runs before each case of the group. */
export function beforeEach(hook: Body): void {
  current.before.push(hook);
}

/** Registers a hook that runs after each case of the group. */
export function afterEach(hook: Body): void {
  current.after.unshift(hook);
}

export {
  afterEach as after,
  afterEach as afterAll,
  beforeEach as before,
  beforeEach as beforeAll,
  it as test,
};
