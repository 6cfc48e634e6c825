/**
 * Query parameters: each known, each at most once (but lists), each of its type.
 */
import { invalidRequest } from "../service.ts";

/** The query of a request, read by name; a name that nobody asked for is an error. */
export class Query {
  readonly #values: URLSearchParams;
  readonly #asked = new Set<string>();

  /** @param url the request's URL */
  constructor(url: string) {
    this.#values = new URL(url).searchParams;
  }

  /** One text; undefined when it is not there. */
  text(name: string): string | undefined {
    this.#asked.add(name);
    const values = this.#values.getAll(name);
    if (values.length > 1) throw invalidRequest(name, "is there more than once");
    return values[0];
  }

  /** True or false. */
  flag(name: string): boolean | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (text === "" || text === "true" || text === "1") return true;
    if (text === "false" || text === "0") return false;
    throw invalidRequest(name, "must be true or false", text);
  }

  /** A whole number of 0 or more. */
  count(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(value)) return value;
    throw invalidRequest(name, "must be a whole number of 0 or more", text);
  }

  /** Texts, given by repeating the name or by commas. */
  list(name: string): readonly string[] | undefined {
    this.#asked.add(name);
    const values = this.#values.getAll(name).flatMap((value) => value.split(","))
      .filter((value) => value !== "");
    return values.length === 0 ? undefined : values;
  }

  /** @throws {JoblogError} code "invalidRequest" when a name is there that nobody asked for */
  end(): void {
    for (const name of this.#values.keys()) {
      if (!this.#asked.has(name)) throw invalidRequest(name, "is not known here");
    }
  }
}
