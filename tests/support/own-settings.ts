/**
 * Before each test file: settings of the machine (`RINGSHIFT_REDIS` in the compose service, say) are not the tests'. A program that a test starts
 * would else take them before its configuration file, and work on a cluster that is somebody's.
 */
for (const name of Object.keys(process.env)) if (name.startsWith("RINGSHIFT_")) delete process.env[name];
