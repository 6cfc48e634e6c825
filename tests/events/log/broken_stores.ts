/**
 * Memory stores that are broken on purpose, each in one way, for the proof that the conformance
 * suite refuses them.
 */
import {
  type CommitBatch,
  type EventStore,
  leafHash,
  openEventStore,
  type RecordedEvent,
  type StoreBackend,
  type StoredRecord,
  type Subscription,
} from "../../../events/log/mod.ts";
import { createMemoryLog } from "../../../events/store/memory/mod.ts";
import type { StoreFactory } from "../../conformance/event_store_suite.ts";

/** An object that behaves as `target` but for some members. */
function instead<Target extends object>(target: Target, members: Partial<Target>): Target {
  return new Proxy(target, {
    get(_, key) {
      const member = key in members ? members[key as keyof Target] : target[key as keyof Target];
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

/** A memory store whose backends or stores are spoilt. */
export function spoilt(spoil: {
  readonly backend?: (backend: StoreBackend) => Partial<StoreBackend>;
  readonly store?: (store: EventStore) => Partial<EventStore>;
  readonly rivalsShareToken?: boolean;
}): StoreFactory {
  return {
    create: () => {
      const log = createMemoryLog();
      const change = (backend: StoreBackend) => instead(backend, spoil.backend?.(backend) ?? {});
      return Promise.resolve({
        openWriter: () => Promise.resolve(change(log.open())),
        openReader: () => Promise.resolve(change(log.openReadOnly())),
        takeOver: () => Promise.resolve(change(log.open())),
        cleanup: () => Promise.resolve(),
      });
    },
    openStore: async (backend, options) => {
      const store = await openEventStore(backend, options);
      return spoil.store === undefined ? store : instead(store, spoil.store(store));
    },
  };
}

/** Reads that give other rows than are stored. */
function rows(change: (page: StoredRecord[]) => StoredRecord[]): StoreFactory {
  return spoilt({
    backend: (backend) => ({
      readPage: async (query) => change([...await backend.readPage(query)]),
    }),
  });
}

/** A subscription that answers something else than it should. */
function followed(
  change: (
    event: RecordedEvent,
    next: () => Promise<IteratorResult<RecordedEvent, undefined>>,
  ) => Promise<IteratorResult<RecordedEvent, undefined>>,
): StoreFactory {
  return spoilt({
    store: (store) => ({
      subscribe: (options) => {
        const inner = store.subscribe(options);
        const next = async () => {
          const answer = await inner.next();
          return answer.done ? answer : await change(answer.value, () => inner.next());
        };
        return instead<Subscription>(inner, { next });
      },
    }),
  });
}

const telling: ((event: RecordedEvent) => void)[] = [];

/** What is broken, and how. */
export const BROKEN_STORES: Readonly<Record<string, StoreFactory>> = {
  "a hole in the positions": spoilt({
    store: (store) => ({
      readAll: (options) => ({
        async *[Symbol.asyncIterator]() {
          for await (const event of store.readAll(options)) {
            yield event.position > 30 ? { ...event, position: event.position + 1 } : event;
          }
        },
      }),
    }),
  }),
  "an append that is not atomic": spoilt({
    store: (store) => ({
      append: async (request) => {
        const events: RecordedEvent[] = [];
        let repeated = false;
        for (const part of request.streams) {
          const answer = await store.append({ ...request, streams: [part] });
          events.push(...answer.events);
          repeated ||= answer.repeated;
        }
        return { events, repeated };
      },
    }),
  }),
  "the last event lost at reopening": spoilt({
    backend: (backend) => {
      let opened: number | undefined;
      return {
        end: async () => {
          const end = await backend.end();
          opened ??= end.position;
          return opened > 5 && end.position === opened
            ? { ...end, position: end.position - 1 }
            : end;
        },
      };
    },
  }),
  "wrong expected versions accepted": spoilt({
    store: (store) => ({
      append: (request) =>
        store.append({
          ...request,
          streams: request.streams.map((part) => ({ ...part, expectedVersion: "any" as const })),
        }),
    }),
  }),
  "noStream accepted for streams that exist": spoilt({
    backend: (backend) => {
      const appended = new Set<string>();
      return {
        commit: (batch) => {
          for (const record of batch.records) appended.add(record.stream);
          return backend.commit(batch);
        },
        streamVersion: (stream) =>
          appended.has(stream) ? backend.streamVersion(stream) : Promise.resolve(0),
      };
    },
  }),
  "stale tokens accepted": spoilt({
    backend: (backend) => ({
      commit: (batch: CommitBatch) => backend.commit({ ...batch, token: 1_000_000 }),
    }),
  }),
  "commits that skip the check of positions": spoilt({
    backend: (backend) => ({
      commit: (batch) =>
        backend.commit(batch).catch((error) => {
          if (error.code !== "versionConflict") throw error;
        }),
    }),
  }),
  "a subscription that repeats": spoilt({
    store: (store) => ({
      subscribe: (options) => {
        const inner = store.subscribe(options);
        let last: IteratorResult<RecordedEvent, undefined> | undefined;
        const next = async () => {
          if (last?.value?.position === 4) {
            const again = last;
            last = undefined;
            return again;
          }
          return last = await inner.next();
        };
        return instead<Subscription>(inner, { next });
      },
    }),
  }),
  "a subscription that skips": followed((event, next) =>
    event.position === 150 ? next() : Promise.resolve({ done: false, value: event })
  ),
  "a subscription that tells before it is durable": spoilt({
    store: (store) => {
      const early: RecordedEvent[] = [];
      return {
        enqueue: (request) => {
          const pending = store.enqueue(request);
          early.push(...pending.events);
          for (const tell of telling.splice(0)) tell(early[0]!);
          return pending;
        },
        subscribe: (options) => {
          const inner = store.subscribe(options);
          const next = () =>
            Promise.race([
              inner.next(),
              new Promise<IteratorResult<RecordedEvent, undefined>>((resolve) => {
                telling.push((value) => resolve({ done: false, value }));
              }),
            ]);
          return instead<Subscription>(inner, { next });
        },
      };
    },
  }),
  "times that go back": spoilt({
    backend: (backend) => ({
      end: async () => ({ ...await backend.end(), time: 0 }),
    }),
  }),
  "backward reads in the wrong order": rows((page) =>
    page.length > 1 && page[0]!.position > page[1]!.position ? page.reverse() : page
  ),
  "bytes that change": spoilt({
    backend: (backend) => ({
      commit: (batch) =>
        backend.commit({
          ...batch,
          records: batch.records.map((record) => ({
            ...record,
            text: record.text.replace("\\u0000", ""),
          })),
        }),
    }),
  }),
  "bytes that are written anew": spoilt({
    backend: (backend) => ({
      commit: (batch) =>
        backend.commit({
          ...batch,
          records: batch.records.map((record) => {
            const { metadata, ...rest } = JSON.parse(record.text);
            const text = JSON.stringify({ metadata, ...rest });
            return { ...record, text, leaf: leafHash(text) };
          }),
        }),
    }),
  }),
  "command ids that are forgotten": spoilt({
    backend: () => ({ command: () => Promise.resolve(undefined) }),
  }),
  "command ids that accept other events": spoilt({
    store: (store) => ({
      append: async (request) => {
        const known = request.commandId && await store.command(request.commandId);
        return known ? { events: known, repeated: true } : await store.append(request);
      },
    }),
  }),
  "a type filter that is ignored": spoilt({
    backend: (backend) => ({
      readPage: ({ types: _, ...query }) => backend.readPage(query),
    }),
  }),
  "a stream filter that is ignored": spoilt({
    backend: (backend) => ({
      readPage: ({ stream: _, ...query }) => backend.readPage(query),
    }),
  }),
  "prefixes read as patterns": spoilt({
    backend: (backend) => ({
      streamNames: async (prefix, after, limit) => {
        const pattern = new RegExp(`^${prefix.replaceAll("_", ".")}`);
        const names = await backend.streamNames("", after, 100_000);
        return names.filter((name) => pattern.test(name)).slice(0, limit);
      },
    }),
  }),
  "subtrees that are not stored": spoilt({
    backend: (backend) => ({
      commit: (batch) => backend.commit({ ...batch, subtrees: [] }),
    }),
  }),
  "a snapshot that replaces the earlier ones": spoilt({
    backend: (backend) => ({
      snapshot: async (name, foldVersion, position) => {
        const newest = await backend.snapshot(name, foldVersion, Number.MAX_SAFE_INTEGER);
        return newest !== undefined && newest.position <= position ? newest : undefined;
      },
    }),
  }),
  "a page limit that is exceeded by one": spoilt({
    backend: (backend) => ({
      readStreamPage: (query) => backend.readStreamPage({ ...query, limit: query.limit + 1 }),
    }),
  }),
  "a close that drops what is queued": spoilt({
    store: (store) => ({
      append: (request) => {
        const answer = store.append(request);
        answer.catch(() => {});
        return Promise.resolve({
          events: [],
          repeated: false,
        }).then(() => answer);
      },
      close: () => Promise.resolve(),
    }),
  }),
};
