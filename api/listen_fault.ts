/** Why a server cannot listen somewhere: each runtime has words of its own, so here are ours. */

/** What is said of it. */
export interface ListenFault {
  /** How it is there, for the end of a message. */
  readonly state: string;
  /** A full sentence that says what to do. */
  readonly hint: string;
}

type Row = readonly [state: string, hint: string];

const NO_ADDRESS: Row = [
  "this machine has no such address",
  "Choose an address of this machine, such as 127.0.0.1.",
];

const TCP: { readonly [code: string]: Row } = {
  EADDRINUSE: ["the port is in use", "Choose another port, or stop what listens there."],
  EACCES: ["this user may not have the port", "Choose a port of 1024 or more."],
  EADDRNOTAVAIL: NO_ADDRESS,
  // What Deno says of an address of another machine, in node:net.
  EINVAL: NO_ADDRESS,
  ENOTFOUND: NO_ADDRESS,
};

const NO_ACCESS: Row = ["permission denied", "Choose a folder that this user may write in."];

const UNIX: { readonly [code: string]: Row } = {
  EACCES: NO_ACCESS,
  EPERM: NO_ACCESS,
  EROFS: ["the file system is read-only", "Choose a folder on another file system."],
  ENOSPC: ["no space left on device", "Make room on the disk, or choose a folder on another one."],
};

/** Puts a failed listening into words. */
export function listenFault(family: "tcp" | "unix", cause: unknown): ListenFault {
  const { code, message } = cause instanceof Error
    ? cause as NodeJS.ErrnoException
    : { code: undefined, message: String(cause) };
  const row = code === undefined ? undefined : (family === "tcp" ? TCP : UNIX)[code];
  if (row !== undefined) return { state: row[0], hint: row[1] };
  // A socket is made under another name, which would only puzzle whoever reads it.
  const state = family === "unix" && code !== undefined ? `the system says ${code}` : message;
  const hint = family === "tcp"
    ? "Choose an address of this machine, such as 127.0.0.1, and a port that is free."
    : "Choose a path in another folder.";
  return { state, hint };
}
