// Loads a package from where the gate has installed it: an ES module does not look at NODE_PATH.
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(process.env.NODE_PATH, "here.js"));

export async function load(name) {
  return import(pathToFileURL(require.resolve(name)));
}
