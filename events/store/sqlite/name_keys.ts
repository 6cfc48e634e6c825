/**
 * The integer keys of stream and type names, and the versions of streams, as the committer sees
 * them inside its transaction.
 *
 * Invariants: the caches are bounded, and those names stay that were used lately; after a rollback
 * `forget` empties them, because what they learnt in it never happened. Called by `committer.ts`
 * only.
 */
import type { StatementSync } from "node:sqlite";
import { Generations } from "../../log/generations.ts";

/** Names kept in memory, per table; about 2 MiB at most. */
export const NAME_KEYS_MAX = 16_384;

function cache<Value>(): Generations<Value> {
  return new Generations(NAME_KEYS_MAX, () => false);
}

/** Keys of one table of names, given out in the order of first use. */
export class NameKeys {
  readonly #find: StatementSync;
  readonly #highest: StatementSync;
  readonly #insert: StatementSync;
  #known = cache<number>();
  #next = 0;

  /**
   * @param find name -> key
   * @param highest -> the highest key
   * @param insert key, name
   */
  constructor(find: StatementSync, highest: StatementSync, insert: StatementSync) {
    this.#find = find;
    this.#highest = highest;
    this.#insert = insert;
  }

  /** The key of a name, made if it is new. */
  keyOf(name: string): number {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const key = this.find(name) ?? this.create(name);
    this.#known.set(name, key);
    return key;
  }

  /** The key of a name, looked up; undefined = it is new. */
  find(name: string): number | undefined {
    return (this.#find.get(name) as { readonly key: number } | undefined)?.key;
  }

  /** Makes the key of a name that has none. */
  create(name: string): number {
    if (this.#next === 0) {
      const row = this.#highest.get() as { readonly key: number | null } | undefined;
      this.#next = (row?.key ?? 0) + 1;
    }
    const key = this.#next;
    this.#insert.run(key, name);
    this.#next += 1;
    return key;
  }

  /** After a rollback: keys that were given out in it are free again. */
  forget(): void {
    this.#known = cache();
    this.#next = 0;
  }
}

/** Key and last version of a stream; the committer advances the version. */
export interface StreamHead {
  /** Key of the name. */
  readonly key: number;
  /** Last version, 0 = no event yet. */
  version: number;
}

/** Streams by name. */
export class StreamKeys {
  readonly #keys: NameKeys;
  readonly #version: StatementSync;
  #heads = cache<StreamHead>();

  /** @param version name, 1 -> the last version */
  constructor(keys: NameKeys, version: StatementSync) {
    this.#keys = keys;
    this.#version = version;
  }

  /** Key and last version of a stream, made if it is new. */
  head(name: string): StreamHead {
    const known = this.#heads.get(name);
    if (known !== undefined) return known;
    const head = this.#find(name) ?? { key: this.#keys.create(name), version: 0 };
    this.#heads.set(name, head);
    return head;
  }

  #find(name: string): StreamHead | undefined {
    const key = this.#keys.find(name);
    if (key === undefined) return undefined;
    const row = this.#version.get(name, 1) as { readonly version: number } | undefined;
    return { key, version: row?.version ?? 0 };
  }

  /** After a rollback. */
  forget(): void {
    this.#heads = cache();
    this.#keys.forget();
  }
}
