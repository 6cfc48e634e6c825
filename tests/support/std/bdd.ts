/**
 * Thin stand-ins for the names of `@std/testing/bdd` that the tests use, over `node:test`, which
 * both `deno test` and `bun test` register as their own tests.
 *
 * @module
 */

export {
  after,
  after as afterAll,
  afterEach,
  before,
  before as beforeAll,
  beforeEach,
  describe,
  it,
  it as test,
} from "node:test";
