/**
 * The integer keys of stream and type names, and the versions of streams, as the committer sees
 * them inside its transaction.
 *
 * Invariants: the caches are bounded; after a rollback `forget` empties them, because what they
 * learnt in it never happened. Called by `committer.ts` only.
 */
import type { StatementSync } from "node:sqlite";

/** Names kept in memory, per table; about 2 MiB at most. */
export const NAME_KEYS_MAX = 16_384;

/** Adds to a bounded map; the oldest entry makes room. */
function keep<Value>(map: Map<string, Value>, name: string, value: Value): void {
  if (map.size >= NAME_KEYS_MAX) {
    const [oldest] = map.keys();
    if (oldest !== undefined) map.delete(oldest);
  }
  map.set(name, value);
}

/** Keys of one table of names, given out in the order of first use. */
export class NameKeys {
  readonly #known = new Map<string, number>();
  readonly #find: StatementSync;
  readonly #highest: StatementSync;
  readonly #insert: StatementSync;
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
    const found = this.#find.get(name) as { readonly key: number } | undefined;
    const key = found?.key ?? this.#create(name);
    keep(this.#known, name, key);
    return key;
  }

  /** After a rollback: keys that were given out in it are free again. */
  forget(): void {
    this.#known.clear();
    this.#next = 0;
  }

  #create(name: string): number {
    if (this.#next === 0) {
      const row = this.#highest.get() as { readonly key: number | null } | undefined;
      this.#next = (row?.key ?? 0) + 1;
    }
    const key = this.#next;
    this.#insert.run(key, name);
    this.#next += 1;
    return key;
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
  readonly #heads = new Map<string, StreamHead>();
  readonly #keys: NameKeys;
  readonly #version: StatementSync;

  /** @param version name, 1 -> the last version */
  constructor(keys: NameKeys, version: StatementSync) {
    this.#keys = keys;
    this.#version = version;
  }

  /** Key and last version of a stream, made if it is new. */
  head(name: string): StreamHead {
    const known = this.#heads.get(name);
    if (known !== undefined) return known;
    const row = this.#version.get(name, 1) as { readonly version: number } | undefined;
    const head = { key: this.#keys.keyOf(name), version: row?.version ?? 0 };
    keep(this.#heads, name, head);
    return head;
  }

  /** After a rollback. */
  forget(): void {
    this.#heads.clear();
    this.#keys.forget();
  }
}
