// A performer that claims every scheduled workitem that it can, as fast as it can:  node race.js PORT
// It says `ready`, begins when a line comes, and ends with {uid: transaction} of what it has claimed.
'use strict';
const { Worklist, claim, end, find, performed, update, uidOf } = require('./client');

const BATCH = 8;

async function main() {
  const worklist = new Worklist(Number(process.argv[2]), 'RIVAL');
  const won = {};
  console.log('ready');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  for (;;) {
    const asked = await worklist.send(find({ ProcedureStepState: 'SCHEDULED', SOPInstanceUID: '' }));
    if (asked.status !== 0) throw new Error(`C-FIND: ${asked.status}`);
    if (!asked.found.length) break;
    const uids = asked.found.map((one) => one.SOPInstanceUID);
    for (let at = 0; at < uids.length; at += BATCH) {
      const wanted = uids.slice(at, at + BATCH).map((uid) => [uid, uidOf()]);
      const claims = await worklist.sendAll(wanted.map(([uid, transaction]) => claim(uid, transaction)));
      const ours = wanted.filter((_, n) => claims[n].status === 0);
      for (const [uid, transaction] of ours) won[uid] = transaction;
      if (!ours.length) continue;
      const steps = ours.flatMap(([uid, transaction]) => [
        update(uid, transaction, performed()),
        end(uid, transaction, 'COMPLETED'),
      ]);
      const done = await worklist.sendAll(steps);
      if (done.some((one) => one.status !== 0)) throw new Error(`ended with ${done.map((one) => one.status)}`);
    }
  }
  console.log(JSON.stringify(won));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
