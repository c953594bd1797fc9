// A manager of workitems that is none of ours:  node manager.js PORT ITEMS
// ITEMS is a JSON file, {uid: attributes}. Each change of a state that it accepts is one line of JSON on its output:
// {uid, state, transaction, outputs}. It keeps the state table of PS3.4 table CC.1.1-2 strictly.
'use strict';
const fs = require('fs');
const dimse = require('dcmjs-dimse');
const { Server, Scp, Dataset, responses, constants } = dimse;

dimse.log.setLevel('silent');

const items = new Map(
  Object.entries(JSON.parse(fs.readFileSync(process.argv[3], 'utf8'))).map(([uid, attributes]) => [
    uid,
    { attributes, state: 'SCHEDULED', transaction: null },
  ])
);

function attributesOf(uid, item) {
  return { ...item.attributes, SOPInstanceUID: uid, ProcedureStepState: item.state };
}

function judge(item, state, transaction) {
  if (!item) return 0xc307;
  if (state === 'SCHEDULED') return 0xc303;
  if (!transaction || (item.state !== 'SCHEDULED' && transaction !== item.transaction)) return 0xc301;
  if (item.state === 'SCHEDULED') return state === 'IN PROGRESS' ? 0 : 0xc310;
  if (item.state === 'IN PROGRESS') {
    if (state === 'IN PROGRESS') return 0xc302;
    if (state === 'COMPLETED' && !outputsOf(item)) return 0xc304;
    return 0;
  }
  if (state === item.state) return state === 'COMPLETED' ? 0xb306 : 0xb304;
  return 0xc300;
}

function listed(value) {
  if (!value) return [];
  return Array.isArray(value) ? value : [value];
}

function outputsOf(item) {
  const performed = listed(item.attributes.UnifiedProcedureStepPerformedProcedureSequence)[0];
  if (!performed || !performed.PerformedProcedureStepEndDateTime) return null;
  return listed(performed.OutputInformationSequence).flatMap((one) =>
    listed(one.ReferencedSOPSequence).map((reference) => reference.ReferencedSOPInstanceUID)
  );
}

class Manager extends Scp {
  associationRequested(asked) {
    for (const { id } of asked.getPresentationContexts()) {
      const context = asked.getPresentationContext(id);
      const explicit = constants.TransferSyntax.ExplicitVRLittleEndian;
      context.setResult(
        constants.PresentationContextResult.Accept,
        context.hasTransferSyntaxUid(explicit) ? explicit : constants.TransferSyntax.ImplicitVRLittleEndian
      );
    }
    this.sendAssociationAccept();
  }

  cFindRequest(request, callback) {
    const found = [...items].filter(([, item]) => item.state === 'SCHEDULED').map(([uid, item]) => {
      const response = responses.CFindResponse.fromRequest(request);
      response.setDataset(new Dataset(attributesOf(uid, item)));
      response.setStatus(constants.Status.Pending);
      return response;
    });
    const last = responses.CFindResponse.fromRequest(request);
    last.setStatus(constants.Status.Success);
    callback([...found, last]);
  }

  nGetRequest(request, callback) {
    const uid = request.getRequestedSopInstanceUid();
    const response = responses.NGetResponse.fromRequest(request);
    response.setStatus(items.has(uid) ? 0 : 0xc307);
    if (items.has(uid)) response.setDataset(new Dataset(attributesOf(uid, items.get(uid))));
    callback(response);
  }

  nSetRequest(request, callback) {
    const item = items.get(request.getRequestedSopInstanceUid());
    const response = responses.NSetResponse.fromRequest(request);
    const { TransactionUID, ...changes } = request.getDataset().getElements();
    let status = 0;
    if (!item) status = 0xc307;
    else if (item.state !== 'IN PROGRESS') status = 0xc300;
    else if (TransactionUID !== item.transaction) status = 0xc301;
    else Object.assign(item.attributes, changes);
    response.setStatus(status);
    callback(response);
  }

  nActionRequest(request, callback) {
    const uid = request.getRequestedSopInstanceUid();
    const item = items.get(uid);
    const response = responses.NActionResponse.fromRequest(request);
    if (request.getActionTypeId() === 1) {
      const { ProcedureStepState: state, TransactionUID: transaction } = request.getDataset().getElements();
      const status = judge(item, state, transaction);
      if (status === 0) {
        item.state = state;
        item.transaction = transaction;
        console.log(JSON.stringify({ uid, state, transaction, outputs: outputsOf(item) }));
      }
      response.setStatus(status);
    } else {
      response.setStatus(0);
    }
    callback(response);
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

const server = new Server(Manager);
server.on('networkError', () => {});
server.listen(Number(process.argv[2]));
console.log(JSON.stringify({ listening: true }));
