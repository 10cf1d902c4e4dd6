/**
 * One process that changes clusters. A message { where, change, options, dieAt } opens an Admin and applies the change; every progress
 * event goes to the parent as { progress }, the end as { report } or { failure }. With `dieAt` the process kills itself, as by kill -9,
 * inside the first progress event of that step.
 */
import { openAdmin } from "../../dist/index.js";

process.on("message", async ({ where, change, options, dieAt }) => {
  const admin = await openAdmin(where);
  try {
    const onProgress = (progress) => {
      if (progress.step === dieAt) process.kill(process.pid, "SIGKILL");
      if (progress.step !== "done") process.send({ progress });
    };
    process.send({ report: await admin.apply(change, { ...options, onProgress }) });
  } catch (error) {
    process.send({ failure: { code: error.code, message: error.message } });
  } finally {
    await admin.close();
  }
});
process.on("disconnect", () => process.exit());
