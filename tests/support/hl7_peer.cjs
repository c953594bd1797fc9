// Systems that exchange HL7 v2 over MLLP, written on npm packages that have nothing in common with our code.
//   node hl7_peer.cjs receive LIBRARY PORT OPTIONS    prints "ready", then each message as a line of JSON
//   node hl7_peer.cjs send LIBRARY PORT OPTIONS       sends the messages (JSON, standard input), prints the answers
// LIBRARY is `node-hl7` (node-hl7-server, node-hl7-client) or `medplum` (@medplum/hl7).
// OPTIONS (JSON): enhanced, and for TLS the files key, cert and ca.
const fs = require("node:fs");
const [role, library, port, options] = process.argv.slice(2);
const wanted = { ...JSON.parse(options), port: Number(port) };
const secured = wanted.key && {
  key: fs.readFileSync(wanted.key),
  cert: fs.readFileSync(wanted.cert),
  ca: fs.readFileSync(wanted.ca),
  requestCert: true,
  rejectUnauthorized: true,
};
const say = (value) => console.log(JSON.stringify(value));

const peers = {
  "node-hl7": {
    receive() {
      const { Server } = require("node-hl7-server");
      const server = new Server({ bindAddress: "127.0.0.1", ...(secured && { tls: secured }) });
      const inbound = server.createInbound({ port: wanted.port, overrideMSH: true }, async (request, response) => {
        const message = request.getMessage();
        say({
          control_id: message.get("MSH.10").toString(),
          status: message.get("OBR.25").toString(),
          patient: message.get("PID.3.1").toString(),
          name: message.get("PID.5.1").toString(),
        });
        if (wanted.enhanced) await response.sendResponse("CA");
        await response.sendResponse("AA");
      });
      inbound.on("listen", () => console.log("ready"));
    },
    async send(messages) {
      const { Client, Message } = require("node-hl7-client");
      const client = new Client({ host: "127.0.0.1", ...(secured && { tls: secured }) });
      const answers = [];
      let heard;
      const connection = client.createConnection({ port: wanted.port }, (response) => {
        const answer = response.getMessage();
        const [code, id] = [answer.get("MSA.1").toString(), answer.get("MSA.2").toString()];
        // Of two frames in one packet it gives out the first alone: so here, whatever the packets.
        if (answers.some(([, earlier]) => earlier === id)) return;
        answers.push([code, id]);
        heard();
      });
      await new Promise((resolve) => connection.once("connect", resolve));
      for (const text of messages) {
        const answered = new Promise((resolve) => (heard = resolve));
        await connection.sendMessage(new Message({ text }));
        await answered;
      }
      await connection.close();
      return answers;
    },
  },
  medplum: {
    async receive() {
      const { Hl7Server } = require("@medplum/hl7");
      const server = new Hl7Server((connection) =>
        connection.addEventListener("message", ({ message }) => {
          say({
            control_id: message.getSegment("MSH").getField(10).toString(),
            status: message.getSegment("OBR").getField(25).toString(),
            patient: message.getSegment("PID").getField(3).getComponent(1),
            name: message.getSegment("PID").getField(5).getComponent(1),
          });
          connection.send(message.buildAck());
        }),
      );
      await server.start(wanted.port, "utf-8", wanted.enhanced);
      console.log("ready");
    },
    async send(messages) {
      const { Hl7Client, ReturnAckCategory } = require("@medplum/hl7");
      const { Hl7Message } = require("@medplum/core");
      const client = new Hl7Client({ host: "127.0.0.1", port: wanted.port, keepAlive: true });
      const answers = [];
      for (const text of messages) {
        const answer = await client.sendAndWait(Hl7Message.parse(text), {
          returnAck: wanted.enhanced ? ReturnAckCategory.APPLICATION : ReturnAckCategory.FIRST,
          timeoutMs: 60000,
        });
        const msa = answer.getSegment("MSA");
        answers.push([msa.getField(1).toString(), msa.getField(2).toString()]);
      }
      await client.close();
      return answers;
    },
  },
};

if (role === "receive") {
  peers[library].receive();
} else {
  const messages = JSON.parse(fs.readFileSync(0, "utf8"));
  peers[library].send(messages).then((answers) => {
    say(answers);
    process.exit(0);
  });
}
