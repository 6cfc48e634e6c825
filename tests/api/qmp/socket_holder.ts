/** Listens on a unix socket until it is killed. */
import process from "node:process";
import { createServer } from "node:net";
import { listenUnix } from "../../../api/qmp/place.ts";

await listenUnix(createServer(), process.argv[2]!);
process.stdout.write("listening\n");
