/** A driver whose work is its record: it counts, takes checkpoints, and closes with an act. */
import { defineDriver, type Driver } from "../../../mod.ts";

/** Units between two checkpoints. */
const CHECKPOINT_EVERY = 5;

/** Counts to `to`, a unit every `everyMs`; fails in the end if `fails`. Goes on after a stop. */
export const TALLY: Driver = defineDriver({
  type: "tally",
  summary: "counts, slowly",
  isResumable: true,
  parameters: (input) => ({
    to: Number(input["to"] ?? 10),
    everyMs: Number(input["everyMs"] ?? 0),
    fails: input["fails"] === true,
  }),
  open: ({ to, everyMs, fails }) => ({
    async run(context) {
      let at = Number(context.resumeFrom ?? 0);
      context.progress.setRemaining(to - at);
      for (; at < to && !context.isCancelled; at += 1) {
        await context.step({ kind: "counted", offset: at, length: 1 });
        if (at % CHECKPOINT_EVERY === 0) await context.checkpoint(at + 1);
        if (everyMs > 0) await context.sleep(everyMs);
        else await context.pausePoint();
      }
      if (fails) throw Object.assign(new Error("it was told to"), { code: "ENOLINK" });
    },
    prepare: () => {},
    commit: (context) => {
      const act = { kind: "publish", subject: "tally", before: null, after: to };
      return context.act(act, () => Promise.resolve());
    },
    abort: () => {},
    clean: () => {},
  }),
});
