/**
 * What a command is refused with: a class and a text, as they go out.
 */
import { type QmpClass, reportOf } from "../errors.ts";
import { JoblogError } from "../service.ts";

/** An error as the wire has it. */
export interface WireError {
  /** Its class. */
  readonly class: QmpClass;
  /** Its text. */
  readonly desc: string;
}

/** A refusal of the front itself: the command came no further. */
export class QmpError extends Error {
  /** Its class on the wire. */
  readonly qmpClass: QmpClass;

  /** @param desc the text, letter for letter QEMU's where it has one */
  constructor(desc: string, qmpClass: QmpClass = "GenericError") {
    super(desc);
    this.name = "QmpError";
    this.qmpClass = qmpClass;
  }
}

/** Anything that was thrown, as it goes out; a fault of the program tells nothing of itself. */
export function wireErrorOf(thrown: unknown): WireError {
  if (thrown instanceof QmpError) return { class: thrown.qmpClass, desc: thrown.message };
  const { qmp, message } = reportOf(thrown);
  // A driver's own refusal has a code of its own, and is a refusal all the same.
  return { class: qmp, desc: thrown instanceof JoblogError ? thrown.message : message };
}
