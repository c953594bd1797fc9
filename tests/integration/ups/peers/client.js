// How the peers of npm's dcmjs-dimse ask a worklist: each request is a promise of its status and data set.
// Source: PS3.4 annex CC.
'use strict';
const dimse = require('dcmjs-dimse');
const { Client, Dataset, PresentationContext, requests } = dimse;

dimse.log.setLevel('silent');

const PUSH = '1.2.840.10008.5.1.4.34.6.1';
const WATCH = '1.2.840.10008.5.1.4.34.6.2';
const PULL = '1.2.840.10008.5.1.4.34.6.3';
const GLOBAL = '1.2.840.10008.5.1.4.34.5';

class Worklist {
  constructor(port, calling) {
    this.port = port;
    this.calling = calling;
  }

  // Sends requests one after another over one association; each gives {status, dataset, found}.
  sendAll(made) {
    return new Promise((resolve, reject) => {
      const client = new Client();
      const answers = made.map(() => ({ status: null, dataset: null, found: [] }));
      made.forEach((request, n) => {
        request.on('response', (response) => {
          const dataset = response.hasDataset() ? response.getDataset().getElements() : null;
          if (response.getStatus() === 0xff00) {
            answers[n].found.push(dataset);
            return;
          }
          answers[n].status = response.getStatus();
          answers[n].dataset = dataset;
        });
        client.addRequest(request);
      });
      client.on('closed', () => resolve(answers));
      client.on('networkError', reject);
      client.on('associationRejected', () => reject(new Error('rejected')));
      client.send('127.0.0.1', this.port, this.calling, 'ECHO_UPS', { associationLingerTimeout: 50 });
    });
  }

  async send(request) {
    return (await this.sendAll([request]))[0];
  }
}

function create(uid, elements) {
  const request = new requests.NCreateRequest(PUSH, uid);
  request.setDataset(new Dataset(elements));
  return request;
}

function action(uid, type, elements, context) {
  const request = new requests.NActionRequest(PUSH, uid, type, context);
  if (elements) request.setDataset(new Dataset(elements));
  return request;
}

function claim(uid, transaction) {
  return action(uid, 1, { ProcedureStepState: 'IN PROGRESS', TransactionUID: transaction }, PULL);
}

function end(uid, transaction, state) {
  return action(uid, 1, { ProcedureStepState: state, TransactionUID: transaction }, PULL);
}

function update(uid, transaction, elements) {
  const request = new requests.NSetRequest(PUSH, uid, PULL);
  request.setDataset(new Dataset({ ...elements, TransactionUID: transaction }));
  return request;
}

function get(uid) {
  return new requests.NGetRequest(PUSH, uid, [], PULL);
}

function find(elements) {
  const request = new requests.CFindRequest();
  request.setAffectedSopClassUid(PULL);
  request.setDataset(new Dataset(elements));
  return request;
}

const CODE = { CodeValue: '1', CodingSchemeDesignator: '99T', CodeMeaning: 'x' };

// What a completed workitem must say.
function performed() {
  return {
    UnifiedProcedureStepPerformedProcedureSequence: [
      {
        PerformedStationNameCodeSequence: [CODE],
        PerformedWorkitemCodeSequence: [CODE],
        PerformedProcedureStepStartDateTime: '20261128080000',
        PerformedProcedureStepEndDateTime: '20261128080100',
        OutputInformationSequence: [],
      },
    ],
  };
}

function uidOf() {
  return Dataset.generateDerivedUid();
}

module.exports = {
  Worklist, PUSH, WATCH, PULL, GLOBAL, create, action, claim, end, update, get, find, performed, uidOf,
};
