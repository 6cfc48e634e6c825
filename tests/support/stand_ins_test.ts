import * as assertApi from "@std/assert";
import * as fsApi from "@std/fs";
import { describeStd } from "./std/cases.ts";
import * as assertStandIn from "./std/assert.ts";
import * as fsStandIn from "./std/fs.ts";

// Where JSR answers, the bare names are the real packages; elsewhere both are the stand-ins.
describeStd("@std by its bare names", assertApi as unknown as typeof assertStandIn, fsApi);
describeStd("@std stand-ins", assertStandIn, fsStandIn);
