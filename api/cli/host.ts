/**
 * What the command line asks of the world: logs to open, servers to start, a terminal. The entry
 * (`main.ts`) joins it; everything else in this folder sees only this.
 */
import type { Service } from "../service.ts";

/** A log that is open, with the service over it. */
export interface OpenedLog {
  /** Queries; and commands, if it was opened for writing. */
  readonly service: Service;
  /**
   * Closes it. Safe to call twice.
   *
   * @param jobs whether resumable jobs are parked, or all are cancelled by force. @default "park"
   */
  close(jobs?: "park" | "cancel"): Promise<void>;
}

/** A front that is served. */
export interface ServedFront {
  /** The path of a socket, or a URL. */
  readonly address: string;
  /** Ends it. */
  stop(): Promise<void>;
}

/** Where QMP clients find a server. */
export interface QmpPlaces {
  /** Path of a unix socket. */
  readonly socket?: string;
  /** Host and port of TCP; port 0 = any. */
  readonly tcp?: { readonly host: string; readonly port: number };
}

/** A QMP front that is served. */
export interface ServedQmp {
  /** The path of the socket, then `host:port`. */
  readonly addresses: readonly string[];
  /** Resolves when a client has told it to quit. */
  readonly quitted: Promise<void>;
  /** Ends it. */
  stop(): Promise<void>;
}

/** Logs: opened by this process, or held by another one. */
export interface Logs {
  /**
   * Opens for writing.
   *
   * @param run true: run jobs, and create the log if there is none; false: take verbs only
   */
  openWriter(path: string, run: boolean): Promise<OpenedLog>;
  /** Opens for reading, beside a writer or without one. */
  openReader(path: string): Promise<OpenedLog>;
  /** True if a live process holds the log for writing. */
  isWriterAlive(path: string): boolean;
  /** Where the writer's socket is. */
  findAddress(path: string): Promise<string>;
  /** Serves the socket beside the log. */
  serveSocket(path: string, service: Service): Promise<ServedFront>;
  /** Serves TCP. */
  serveTcp(host: string, port: number, service: Service): Promise<ServedFront>;
  /** Serves QMP over a log that was opened for running. */
  serveQmp(places: QmpPlaces, opened: OpenedLog): Promise<ServedQmp>;
}

/** The terminal and the process. */
export interface Terminal {
  /** Writes results. */
  out(text: string): void;
  /** Writes everything else. */
  err(text: string): void;
  /** Where progress bars are drawn; undefined when that is no terminal. */
  readonly bars: NodeJS.WriteStream | undefined;
  /** How the user calls this program. */
  readonly program: string;
  /** Environment variables. */
  readonly environment: { readonly [name: string]: string | undefined };
  /** Who sits there, for the record. */
  readonly user: string;
  /** Calls back when the user or the system asks to end; returns how to stop listening. */
  onInterrupt(callback: () => void): () => void;
}

/** A format of disk images. */
type ImageFormat = "raw" | "qcow2";

/** An image, and its format unless it is to be probed. */
export interface ImageName {
  /** Its path. */
  readonly path: string;
  /** Its format. */
  readonly format?: ImageFormat | undefined;
}

/** What a new image is like. */
export interface NewImage {
  /** Bytes that a guest sees. */
  readonly size: number;
  /** Bytes of a cluster. */
  readonly clusterSize?: number;
  /** How clusters are compressed, if any are. */
  readonly compressionType?: "zlib" | "zstd";
  /** Name of the backing file. */
  readonly backingFile?: string;
  /** Its format. */
  readonly backingFormat?: ImageFormat;
}

/** A bitmap that an image keeps. */
export interface ListedBitmap {
  /** Unique in its image. */
  readonly name: string;
  /** Bytes of each bit. */
  readonly granularity: number;
  /** True if it records writes. */
  readonly isAuto: boolean;
  /** True while somebody writes the image, or when whoever did never closed it. */
  readonly isInUse: boolean;
}

/** One change of one bitmap. */
export type BitmapChange =
  | { readonly verb: "add"; readonly granularity?: number; readonly isDisabled?: boolean }
  | { readonly verb: "remove" | "clear" | "enable" | "disable" }
  | { readonly verb: "merge"; readonly sources: readonly string[]; readonly sourceImage?: string };

/** What can be done with images without a job. */
export interface ImageTools {
  /** Says what an image is. */
  info(path: string, format?: ImageFormat): Promise<{
    readonly filename: string;
    readonly format: ImageFormat;
    readonly virtualSize: number;
    readonly clusterSize?: number;
    readonly backingFilename?: string;
    readonly backingFormat?: string;
    readonly compat?: string;
    readonly refcountBits?: number;
    readonly compressionType?: "zlib" | "zstd";
    readonly isDirty?: boolean;
    readonly isCorrupt?: boolean;
    readonly bitmaps?: readonly ListedBitmap[];
  }>;
  /** The bitmaps that one keeps. */
  bitmaps(path: string): Promise<readonly ListedBitmap[]>;
  /** Changes one of them. */
  changeBitmap(path: string, name: string, change: BitmapChange): Promise<void>;
  /** Makes one. */
  create(path: string, format: ImageFormat, options: NewImage): Promise<void>;
  /** Says what each stretch is, and which layer decides. */
  map(path: string, format?: ImageFormat): Promise<
    readonly {
      readonly start: number;
      readonly length: number;
      readonly depth: number;
      readonly isPresent: boolean;
      readonly isZero: boolean;
      readonly isData: boolean;
    }[]
  >;
  /** Finds leaks and corruptions. */
  check(path: string, repair?: "leaks" | "all"): Promise<{
    readonly corruptions: number;
    readonly leaks: number;
    readonly problems: readonly string[];
    readonly dataClusters: number;
    readonly compressedClusters: number;
  }>;
  /** Compares two. */
  compare(a: ImageName, b: ImageName): Promise<{
    readonly mismatchAt: number | undefined;
    readonly isSizeDifferent: boolean;
  }>;
  /** Copies one into a new one. */
  convert(
    source: ImageName,
    target: { readonly path: string; readonly format: ImageFormat },
    options: {
      readonly clusterSize?: number;
      readonly compress?: boolean;
      readonly compressionType?: "zlib" | "zstd";
    },
  ): Promise<void>;
}

/** The world of the command line. */
export interface Host {
  /** Images without jobs. */
  readonly images: ImageTools;
  /** Logs. */
  readonly logs: Logs;
  /** The terminal. */
  readonly terminal: Terminal;
  /** What `--version` prints. */
  readonly version: string;
}
