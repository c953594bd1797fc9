// One workitem from its creation to its end, and another one that is canceled:  node walk.js PORT
// The last line is JSON: the status of each step, and the events that this subscriber heard in the meantime.
'use strict';
const { Server, Scp, responses, association } = require('dcmjs-dimse');
const {
  Worklist, WATCH, GLOBAL, action, claim, create, end, find, get, performed, update, uidOf,
} = require('./client');
const constants = require('dcmjs-dimse').constants;

const heard = [];

class Subscriber extends Scp {
  associationRequested(asked) {
    for (const id of asked.getPresentationContexts().map((one) => one.id)) {
      asked.getPresentationContext(id).setResult(
        constants.PresentationContextResult.Accept,
        constants.TransferSyntax.ImplicitVRLittleEndian
      );
    }
    this.sendAssociationAccept();
  }

  nEventReportRequest(request, callback) {
    const elements = request.hasDataset() ? request.getDataset().getElements() : {};
    heard.push({
      type: request.getEventTypeId(),
      uid: request.getAffectedSopInstanceUid(),
      state: elements.ProcedureStepState || null,
    });
    const response = responses.NEventReportResponse.fromRequest(request);
    response.setStatus(constants.Status.Success);
    callback(response);
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

async function until(holds) {
  for (let n = 0; n < 400 && !holds(); n += 1) await new Promise((resolve) => setTimeout(resolve, 50));
}

async function main() {
  const [port, listening, uid, other] = process.argv.slice(2);
  const item = JSON.parse(process.argv[6]);
  const server = new Server(Subscriber);
  server.on('networkError', () => {});
  server.listen(Number(listening));
  const worklist = new Worklist(Number(port), 'NODE');
  const transaction = uidOf();
  const step = { ProcedureStepProgressInformationSequence: [{ ProcedureStepProgress: '50' }] };
  const steps = {
    subscribe: action(GLOBAL, 3, { ReceivingAE: 'NODE', DeletionLock: 'FALSE' }, WATCH),
    create: create(uid, item),
    createAgain: create(uid, item),
    find: find({ ProcedureStepState: 'SCHEDULED', SOPInstanceUID: uid, PatientName: '' }),
    claim: claim(uid, transaction),
    claimAgain: claim(uid, transaction),
    wrong: update(uid, uidOf(), step),
    progress: update(uid, transaction, step),
    requestCancel: action(uid, 2, { ReasonForCancellation: 'changed my mind' }, WATCH),
    tooEarly: end(uid, transaction, 'COMPLETED'),
    outcome: update(uid, transaction, performed()),
    complete: end(uid, transaction, 'COMPLETED'),
    completeAgain: end(uid, transaction, 'COMPLETED'),
    get: get(uid),
    createOther: create(other, item),
    cancelOther: action(other, 2, { ReasonForCancellation: 'not needed' }, WATCH),
    cancelOtherAgain: action(other, 2, null, WATCH),
  };
  const answers = await worklist.sendAll(Object.values(steps));
  await until(() => heard.filter((one) => one.uid === other && one.state === 'CANCELED').length > 0);
  const unsubscribed = await worklist.send(action(GLOBAL, 4, { ReceivingAE: 'NODE' }, WATCH));
  const statuses = Object.fromEntries(Object.keys(steps).map((name, n) => [name, answers[n].status]));
  console.log(JSON.stringify({
    statuses: { ...statuses, unsubscribe: unsubscribed.status },
    found: answers[3].found,
    got: answers[Object.keys(steps).indexOf('get')].dataset,
    heard,
  }));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
