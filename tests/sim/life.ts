/**
 * The life of one simulated process: what it does to the world, and the moment of its death.
 *
 * A process acts on the world by touching it: a call of its store or of a driver. A fuse counts
 * touches; when it has burnt down the process dies in the middle of what it does. From then on
 * nothing that it does has an effect, and nothing answers it any more.
 */
import type { Chance } from "./chance.ts";
import type { SimPorts } from "./sim_ports.ts";

/** How long the world takes to answer a process. */
export type Latency = "none" | "turns" | "timers";

/** See the head of this file. */
export class Life {
  /** Its number, from 1 on. */
  readonly no: number;
  /** Its time and turns. */
  readonly ports: SimPorts;
  /** How long stores and drivers take. */
  latency: Latency;
  /** True once it is dead. */
  isDead = false;
  /** Commits that are done and that it was not told of yet. */
  untold = 0;
  /** True once it closes or has failed: drivers are closed whatever their jobs are at. */
  isClosing = false;
  /** Why its store refuses it; what it is told then is no fault of its own. */
  excuse: string | undefined;
  readonly #chance: Chance;
  #fuse = Infinity;

  /**
   * @param no its number
   * @param ports its time and turns
   * @param chance draws the latencies
   * @param latency how long stores and drivers take
   */
  constructor(no: number, ports: SimPorts, chance: Chance, latency: Latency) {
    this.no = no;
    this.ports = ports;
    this.#chance = chance;
    this.latency = latency;
  }

  /** It dies at the n-th touch from now on. */
  lightFuse(touches: number): void {
    this.#fuse = Math.min(this.#fuse, touches);
  }

  /** It does not die by the fuse any more. */
  putOutFuse(): void {
    this.#fuse = Infinity;
  }

  /** It dies now. */
  die(): void {
    this.isDead = true;
    this.ports.die();
  }

  /** Counts a touch. @returns false if the process is dead */
  touchNow(): boolean {
    if (this.isDead) return false;
    this.#fuse -= 1;
    if (this.#fuse <= 0) this.die();
    return !this.isDead;
  }

  /** Counts a touch, and takes its time; never resolves for the dead. */
  async touch(): Promise<void> {
    if (!this.touchNow()) await new Promise(() => {});
    if (this.latency === "none" || !this.#chance.isOneIn(3)) return;
    if (this.latency === "timers" && this.#chance.isOneIn(4)) {
      await this.ports.sleep(this.#chance.between(1, 40));
    } else await this.ports.turn();
    if (this.isDead) await new Promise(() => {});
  }
}
