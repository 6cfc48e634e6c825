/**
 * Bitmaps that an image keeps, under a guest, backups by one of them and jobs beside, killed at any
 * moment: a bitmap is whole or inconsistent, and a chain of incremental backups is the disk.
 *
 * ```text
 * base.raw <- mid.qcow2 <- top.qcow2 (guests, bitmaps)
 * full-.. <- more-.. <- more-..          each is the disk as it was when it was begun
 * ```
 *
 * - Between two kills some processes close their log: only they leave bitmaps that are whole.
 * - The bitmap of the backups says where the disk differs from the newest of them.
 * - Images and bitmaps are read by ours and, where it is, by QEMU.
 */
import { deepStrictEqual as assertEquals, ok as assert } from "node:assert/strict";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createQcow2, openQcow2 } from "../../../engine/block/qcow2/mod.ts";
import { openLog } from "../../../events/mod.ts";
import { verify } from "../../../events/replay/verify.ts";
import { bytesOf, HAS_QEMU } from "../../engine/block/qcow2/qemu.ts";
import { bitmapsByQemu, bitsByQemu, HAS_DAEMON } from "../../engine/block/qcow2/qemu_bitmaps.ts";
import { type ImageFolder, noise, sameBytes } from "../../support/images.ts";
import { spawnRuntime } from "../../support/spawn_runtime.ts";
import { BitmapModel, type FoundBitmap } from "./bitmap_model.ts";
import { type BitmapPlan, DAILY, GRANULE } from "./bitmap_plan.ts";
import { bytesByChain } from "./chain_reading.ts";
import { GuestModel } from "./guest_model.ts";
import {
  expectSound,
  type JobEnd,
  type KillCase,
  killInTime,
  type KillOutcome,
  LONG_MS,
} from "./kill_case.ts";

const SCRIPT = fileURLToPath(new URL("./bitmap_process.ts", import.meta.url));
const SIZE = 4 * 2 ** 20;
/** To close a log takes about so long. */
const CLOSING_MS = 60;

interface Backup {
  readonly target: string;
  readonly bytes: Uint8Array;
  /** The same for a full backup and those that go on from it. */
  readonly chain: number;
}

/** See the head of this file. */
export class BitmapKills implements KillCase {
  readonly #folder: ImageFolder;
  readonly #seed: number;
  readonly #bitmaps = new BitmapModel();
  #guest = new GuestModel(new Uint8Array(0));
  /** Backups that were begun and have not ended. */
  #begun: Backup[] = [];
  #jobs: string[] = [];
  #head: Backup | undefined;
  #round = 0;
  #chain = 0;

  constructor(folder: ImageFolder, seed: number) {
    this.#folder = folder;
    this.#seed = seed;
  }

  async prepare(): Promise<void> {
    const bytes = noise(SIZE, this.#seed).fill(0, 2 ** 20, 2 * 2 ** 20);
    this.#folder.write("base.raw", bytes);
    let below = "base.raw";
    for (const name of ["mid.qcow2", "top.qcow2"]) {
      const backingFormat = below.endsWith(".raw") ? "raw" : "qcow2";
      const options = { size: SIZE, backingFile: below, backingFormat } as const;
      const image = await createQcow2(this.#folder.file(name), options);
      const piece = noise(300_000, this.#seed + name.length);
      const at = name.startsWith("mid") ? 900_000 : 1_100_000;
      await image.write(at, piece);
      bytes.set(piece, at);
      await image.close();
      below = name;
    }
    this.#guest = new GuestModel(bytes);
  }

  async kill(random: (below: number) => number): Promise<KillOutcome> {
    // Bitmaps that no process has put away are inconsistent: then there is little to lose.
    if (random(3) > 0) await this.#close({ stepCount: random(30), isLast: false });
    const isClosing = random(3) === 0;
    const isEarly = random(6) === 0;
    const seen = await this.#run({ stepCount: isClosing ? random(30) : null, isLast: false }, {
      afterMs: isEarly ? random(1_200) : LONG_MS,
      afterCount: isEarly || isClosing ? Infinity : 1 + random(60),
      closingMs: random(CLOSING_MS),
    });
    if (seen.isClosing) return "closing";
    return seen.count > 0 ? "at work" : "early";
  }

  async settle(): Promise<JobEnd> {
    await this.#close({ stepCount: 5, isLast: true });
    const head = this.#head;
    assert(head !== undefined, "the last backup failed");
    assert(sameBytes(head.bytes, this.#guest.bytes), "the last backup is not of the last moment");
    const log = await openLog(this.#folder.file("jobs.log"));
    try {
      assertEquals((await verify(log)).faults, []);
    } finally {
      await log.close();
    }
    return "done";
  }

  async #close(plan: Pick<BitmapPlan, "stepCount" | "isLast">): Promise<void> {
    const never = { afterMs: LONG_MS, afterCount: Infinity, closingMs: undefined };
    const { ended } = await this.#run(plan, never);
    assertEquals(ended, 0, "how a process ended that was to close its log");
  }

  /** Lets one process work, and looks at what it leaves. */
  async #run(
    { stepCount, isLast }: Pick<BitmapPlan, "stepCount" | "isLast">,
    when: { afterMs: number; afterCount: number; closingMs: number | undefined },
  ) {
    const seed = this.#seed + 1_000 * this.#round++;
    const head = this.#head?.target ?? null;
    const plan: BitmapPlan = { seed, stepCount, isLast, head, unfinished: this.#jobs };
    const script = spawnRuntime(SCRIPT, [this.#folder.path, JSON.stringify(plan)]);
    const seen = { count: 0, isClosing: false };
    const startMs = performance.now();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ended = await killInTime(script, {
      ...when,
      onLine: (line) => {
        this.#take(line);
        seen.isClosing ||= line === "closing";
        if (line === "closing" && when.closingMs !== undefined) {
          timer = setTimeout(() => void script.kill(), when.closingMs);
        }
        const isWork = line === "did" || line === "ok";
        if (isWork) seen.count += 1;
        return isWork;
      },
    });
    clearTimeout(timer);
    assert(performance.now() - startMs < LONG_MS, "the process hangs");
    assert(ended === "SIGKILL" || ended === 0, `the process ended with ${ended}`);
    await this.#look(ended === 0);
    return { ...seen, ended };
  }

  #take(line: string): void {
    this.#guest.take(line);
    this.#bitmaps.take(line);
    const [word, name = "", sync] = line.split(" ");
    if (word === "beside" || word === "begin") this.#jobs.push(name);
    if (word !== "begin") return;
    if (sync === "full") {
      // Until it is whole there is nothing that the bitmap could be compared with.
      this.#head = undefined;
      this.#chain += 1;
    }
    this.#begun.push({ target: name, bytes: this.#guest.bytes, chain: this.#chain });
    this.#bitmaps.empty(DAILY);
  }

  async #look(isClosed: boolean): Promise<void> {
    for (const name of ["mid.qcow2", "top.qcow2"]) expectSound(this.#folder.file(name));
    const image = await openQcow2(this.#folder.file("top.qcow2"), { readOnly: true });
    try {
      const found = await bytesOf(image);
      assertEquals(this.#guest.look(found), undefined, "the disk is not what its guest was told");
      if (HAS_QEMU) {
        const byQemu = bytesByChain(this.#folder, "top.qcow2");
        assert(sameBytes(byQemu, found), "QEMU reads the disk in another way");
      }
      await this.#takeEnds();
      await image.kept.load();
      const bitmaps = image.bitmaps.list().map((bitmap): FoundBitmap => ({
        name: bitmap.name!,
        isInconsistent: bitmap.isInconsistent,
        granules: granulesOf(bitmap.isInconsistent ? [] : bitmap.areas()),
      }));
      this.#compareWithQemu(bitmaps);
      this.#bitmaps.look(bitmaps, isClosed);
      this.#compareWithHead(bitmaps, found);
    } finally {
      await image.close();
    }
  }

  #compareWithQemu(bitmaps: readonly FoundBitmap[]): void {
    if (!HAS_QEMU) return;
    const path = this.#folder.file("top.qcow2");
    assertEquals(
      bitmaps.map(({ name, isInconsistent }) => [name, isInconsistent]),
      bitmapsByQemu(path).map(({ name, flags }) => [name, flags.includes("in-use")]),
    );
    const whole = bitmaps.find(({ isInconsistent }) => !isInconsistent);
    if (!HAS_DAEMON || whole === undefined) return;
    const runs = bitsByQemu(this.#folder, path, whole.name);
    const byQemu = granulesOf(runs.map(([offset, length]) => ({ offset, length })));
    assertEquals(whole.granules, byQemu, `QEMU reads bitmap ${whole.name} in another way`);
  }

  /** Where the disk differs from the newest backup, the bitmap has to say so. */
  #compareWithHead(bitmaps: readonly FoundBitmap[], found: Uint8Array): void {
    const daily = bitmaps.find(({ name }) => name === DAILY);
    const head = this.#head;
    if (head === undefined || daily === undefined || daily.isInconsistent) return;
    for (let at = 0; at < SIZE; at += GRANULE) {
      const end = at + GRANULE;
      if (sameBytes(head.bytes.subarray(at, end), found.subarray(at, end))) continue;
      const where: string = `${head.target} at ${at}`;
      assert(
        daily.granules.has(at / GRANULE),
        `the disk differs from ${where}, and the bitmap says nothing`,
      );
    }
  }

  /** Compares the backups that have ended well with the disk as it was when they were begun. */
  async #takeEnds(): Promise<void> {
    const ends = await endsOf(this.#folder.file("jobs.log"));
    this.#jobs = this.#jobs.filter((id) => !ends.has(id));
    for (const backup of this.#begun.filter(({ target }) => ends.has(target))) {
      if (ends.get(backup.target) !== 0) continue;
      await this.#expectWhole(backup);
      // One that a kill kept from its end may end behind the beginning of the next chain.
      if (backup.chain === this.#chain) this.#head = backup;
    }
    this.#begun = this.#begun.filter(({ target }) => !ends.has(target));
  }

  async #expectWhole({ target, bytes }: Backup): Promise<void> {
    expectSound(this.#folder.file(target));
    const image = await openQcow2(this.#folder.file(target), { readOnly: true });
    try {
      assert(sameBytes(await bytesOf(image), bytes), `${target} is not the disk of its moment`);
    } finally {
      await image.close();
    }
    if (!HAS_QEMU) return;
    const byQemu = bytesByChain(this.#folder, target);
    assert(sameBytes(byQemu, bytes), `QEMU reads ${target} in another way`);
  }
}

function granulesOf(areas: Iterable<{ readonly offset: number; readonly length: number }>) {
  const granules = new Set<number>();
  for (const { offset, length } of areas) {
    for (let at = offset; at < offset + length; at += GRANULE) granules.add(at / GRANULE);
  }
  return granules;
}

/** What came of the jobs that have ended, by their ids: 0 = well. */
async function endsOf(path: string): Promise<ReadonlyMap<string, number>> {
  const ends = new Map<string, number>();
  if (!existsSync(path)) return ends;
  const log = await openLog(path);
  try {
    const ids = new Map<string, string>();
    for await (const { type, stream, data } of log.readAll()) {
      if (type === "JobCreated") ids.set(stream, String(data["id"]));
      if (type !== "JobConcluded") continue;
      const isWell = data["outcome"] === "completed" && data["ret"] === 0;
      ends.set(ids.get(stream)!, isWell ? 0 : -1);
    }
    return ends;
  } finally {
    await log.close();
  }
}
