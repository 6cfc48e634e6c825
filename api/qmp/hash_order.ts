/**
 * The order in which QEMU looks through members, so that of several faults the same one is told.
 *
 * - A dictionary is walked by its buckets, and in a bucket from the newest member on.
 * - Members that nobody asked for are found in a hash table of GLib: a power of two of places, of
 *   which a name takes the first that is free from its hash on.
 *
 * Source: QEMU 7.2 qobject/qdict.c tdb_hash, qdict_first; qapi/qobject-input-visitor.c
 * qobject_input_push; GLib 2.74 ghash.c.
 */

const BUCKET_COUNT = 512;

function bytesOf(name: string): Uint8Array {
  return new TextEncoder().encode(name);
}

/** Bucket of a name in QEMU's dictionaries. */
export function bucketOf(name: string): number {
  const bytes = bytesOf(name);
  let value = Math.imul(0x238f13af, bytes.length);
  bytes.forEach((byte, index) => value = (value + (byte << (index * 5 % 24))) | 0);
  return (Math.imul(1103515243, value) + 12345 >>> 0) % BUCKET_COUNT;
}

/** Names in the order in which a dictionary is walked, from the order in which they came. */
export function inBuckets(names: Iterable<string>): readonly string[] {
  return [...names].reverse()
    .map((name) => [bucketOf(name), name] as const)
    .sort(([a], [b]) => a - b)
    .map(([, name]) => name);
}

/** The primes that hashes are taken modulo, for tables of 8, 16, 32 ... places. */
const PRIMES = [7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093, 8191, 16381, 32749];

function hashOf(name: string): number {
  let hash = 5381;
  for (const byte of bytesOf(name)) hash = (Math.imul(hash, 33) + (byte << 24 >> 24)) >>> 0;
  return Math.max(2, hash);
}

/** A table of GLib: only what decides about the order. */
class Places {
  #names: (string | undefined)[] = new Array(8);
  #count = 0;

  get names(): readonly string[] {
    return this.#names.filter((name) => name !== undefined);
  }

  add(name: string): void {
    this.#names[this.#free(name, (place) => this.#names[place] !== undefined)] = name;
    this.#count += 1;
    const size = this.#names.length;
    if (size <= this.#count + Math.floor(this.#count / 16)) this.#grow();
  }

  #free(name: string, isTaken: (place: number) => boolean): number {
    const size = this.#names.length;
    let place = (Math.imul(hashOf(name), 11) >>> 0) % PRIMES[Math.log2(size) - 3]!;
    for (let step = 1; isTaken(place); step++) place = (place + step) & (size - 1);
    return place;
  }

  /** Names move one by one; one whose new place another still has sends that one on first. */
  #grow(): void {
    const before = this.#names.length;
    this.#names.length = 2 ** Math.floor(Math.log2(this.#count * 1.333) + 1);
    const moved = new Set<number>();
    for (let at = 0; at < before; at++) {
      let name = moved.has(at) ? undefined : this.#names[at];
      if (name !== undefined) this.#names[at] = undefined;
      while (name !== undefined) {
        const place = this.#free(name, (taken) => moved.has(taken));
        moved.add(place);
        const sent: string | undefined = this.#names[place];
        this.#names[place] = name;
        name = sent;
      }
    }
  }
}

/** Most members that are put in GLib's order; of more, those that came first are told. */
const ORDERED_MAX = 10_000;

/** Names in the order in which those that are left over are found. */
export function inPlaces(names: Iterable<string>): readonly string[] {
  const walked = inBuckets(names);
  if (walked.length > ORDERED_MAX) return walked;
  const places = new Places();
  for (const name of walked) places.add(name);
  return places.names;
}
