// IBM's own client, unchanged, against a platform: each step prints its name when it was seen to work.
const sdk = require('@wiotp/sdk');
const { default: GatewayConfig } = require('@wiotp/sdk/dist/gateway/GatewayConfig');

const { DOMAIN, PORT, ORG, KEY, TOKEN } = process.env;
const port = Number(PORT);
const patience = 15000;

const step = (name) => console.log('ok ' + name);
const fail = (why) => { console.log('FAILED ' + (why.stack || why)); process.exit(1); };
process.on('unhandledRejection', fail);
process.on('uncaughtException', fail);

// heard is the arguments of the first event of that name that match, or an error after a while.
const heard = (client, name, what, match = () => true) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error('not heard: ' + what)), patience);
  const listener = (...args) => {
    if (!match(...args)) return;
    clearTimeout(timer);
    client.removeListener(name, listener);
    resolve(args);
  };
  client.on(name, listener);
});
const called = (what, call) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error('no answer: ' + what)), patience);
  call((err, result) => { clearTimeout(timer); err ? reject(err) : resolve(result); });
});
const same = (got, want, what) => {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
};
const refused = async (what, status, call) => {
  try { await call(); } catch (err) {
    same(err.response && err.response.status, status, what);
    return err.response.data;
  }
  throw new Error(what + ': got no error, want ' + status);
};

const application = (appId, mqtt = {}, token = TOKEN) => {
  const options = { domain: DOMAIN, logLevel: 'silent', mqtt: Object.assign({ port, transport: 'tcp', cleanStart: true }, mqtt) };
  const client = new sdk.ApplicationClient(new sdk.ApplicationConfig({ appId }, { key: KEY, token }, options));
  client.on('error', (err) => { client.lastError = String(err); });
  return client;
};
const rest = () => {
  const options = { domain: DOMAIN + ':' + PORT, logLevel: 'silent', mqtt: {} };
  return new sdk.ApplicationClient(new sdk.ApplicationConfig({ appId: 'rest' }, { key: KEY, token: TOKEN }, options)).registry;
};
const thing = (Client, Config, typeId, deviceId, token) => {
  const options = { domain: DOMAIN, logLevel: 'silent', mqtt: { port, transport: 'tcp', cleanStart: true } };
  const client = new Client(new Config({ orgId: ORG, typeId, deviceId }, { token }, options));
  client.on('error', (err) => { client.lastError = String(err); });
  return client;
};
const connected = async (client, what) => {
  const up = heard(client, 'connect', what + ' connects');
  client.connect();
  await up;
};
const text = (payload) => payload.toString();

async function registry() {
  const r = rest();
  same((await r.registerDeviceType('pump', 'a pump', { manufacturer: 'ACME' }, { bridged: true })).id, 'pump', 'type');
  same((await r.registerDeviceType('box', 'a gateway', {}, {}, 'Gateway')).classId, 'Gateway', 'type of gateways');
  await refused('type twice', 409, () => r.registerDeviceType('pump'));
  same((await r.getDeviceType('pump')).deviceInfo.manufacturer, 'ACME', 'type read');
  same((await r.updateDeviceType('pump', 'another pump', {}, {})).description, 'another pump', 'type changed');
  if (!(await r.getAllDeviceTypes()).results.some((t) => t.id === 'box')) throw new Error('type not listed');
  step('registry: device types');

  const made = await r.registerDevice('pump', 'p-01', 'token-of-p-01', { serialNumber: '7' }, undefined, { line: 3 });
  same([made.typeId, made.deviceId, made.authToken], ['pump', 'p-01', 'token-of-p-01'], 'device');
  await r.registerDevice('box', 'g-01', 'token-of-g-01');
  const twice = await refused('device twice', 409, () => r.registerDevice('pump', 'p-01'));
  same(twice.exception.id, 'CUDRS0020E', 'device twice');
  const read = await r.getDevice('pump', 'p-01');
  same([read.deviceInfo.serialNumber, read.metadata.line, read.authToken], ['7', 3, undefined], 'device read');
  same((await r.updateDevice('pump', 'p-01', { serialNumber: '8' }, undefined, { line: 4 })).metadata.line, 4, 'device changed');
  const all = await r.registerMultipleDevices([{ typeId: 'pump', deviceId: 'p-02' }, { typeId: 'pump', deviceId: 'p-03' }]);
  same(all.map((d) => d.success), [true, true], 'several devices');
  same((await r.listAllDevicesOfType('pump')).results.map((d) => d.deviceId).sort(), ['p-01', 'p-02', 'p-03'], 'devices listed');
  await r.unregisterDevice('pump', 'p-03');
  await refused('device gone', 404, () => r.getDevice('pump', 'p-03'));
  await refused('type of no device', 404, () => r.getDevice('valve', 'v-01'));
  // The client takes 201 alone for success here, the platform answers 200: the devices are gone nonetheless.
  await refused('several devices removed', 200, () => r.deleteMultipleDevices([{ typeId: 'pump', deviceId: 'p-02' }]));
  await refused('device gone', 404, () => r.getDevice('pump', 'p-02'));
  step('registry: devices');
}

async function messages() {
  const app = application('back');
  await connected(app, 'application');
  step('application connects with key and token');
  await called('events', (done) => app.subscribeToEvents(undefined, undefined, undefined, undefined, 1, done));
  await called('commands', (done) => app.subscribeToCommands('pump', undefined, undefined, undefined, 1, done));

  const deviceUp = heard(app, 'deviceStatus', 'status of the device', (type, id, p) => id === 'p-01' && JSON.parse(p).Action === 'Connect');
  app.subscribeToDeviceStatus();
  const device = thing(sdk.DeviceClient, sdk.DeviceConfig, 'pump', 'p-01', 'token-of-p-01');
  await connected(device, 'device');
  const [type, , payload] = await deviceUp;
  same([type, JSON.parse(payload).ClientID], ['pump', `d:${ORG}:pump:p-01`], 'status of the device');
  step('device connects with its token, and its status is told');

  for (const qos of [0, 1, 2]) {
    const event = heard(app, 'deviceEvent', 'event of the device', (t, i, e, f, p) => JSON.parse(p).qos === qos);
    await called('event', (done) => device.publishEvent('flow', 'json', { d: { rate: 4.5 }, qos }, qos, done));
    const [t, i, e, f] = await event;
    same([t, i, e, f], ['pump', 'p-01', 'flow', 'json'], 'event of the device');
  }
  step('device publishes, application hears it in the long form, QoS 0, 1, 2');

  for (const qos of [0, 1, 2]) {
    const command = heard(device, 'command', 'command', (c, f, p) => JSON.parse(p).qos === qos);
    const passing = heard(app, 'deviceCommand', 'command on its way', (t, i, c, f, p) => JSON.parse(p).qos === qos);
    await called('command', (done) => app.publishCommand('pump', 'p-01', 'set', 'json', { d: { rate: 5 }, qos }, qos, done));
    const [name, format] = await command;
    same([name, format], ['set', 'json'], 'command');
    const [t, i] = await passing;
    same([t, i], ['pump', 'p-01'], 'command on its way');
  }
  step('application sends commands, device and applications hear them');

  const onBehalf = heard(app, 'deviceEvent', 'event for the device', (t, i, e) => e === 'bridged');
  await called('event for the device', (done) => app.publishEvent('pump', 'p-01', 'bridged', 'csv', 'a;b', 1, done));
  const [, , , format, bytes] = await onBehalf;
  same([format, text(bytes)], ['csv', 'a;b'], 'event for the device');
  step('application publishes for a device');

  const gateway = thing(sdk.GatewayClient, GatewayConfig, 'box', 'g-01', 'token-of-g-01');
  await connected(gateway, 'gateway');
  const own = heard(app, 'deviceEvent', 'event of the gateway', (t, i) => i === 'g-01');
  await called('event of the gateway', (done) => gateway.publishEvent('load', 'json', { d: { cpu: 7 } }, 1, done));
  await own;
  const forDevice = heard(app, 'deviceEvent', 'event through the gateway', (t, i, e) => i === 'p-01' && e === 'relayed');
  await called('event through the gateway', (done) => gateway._publishEvent('pump', 'p-01', 'relayed', 'json', { d: {} }, 1, done));
  await forDevice;
  await called('commands of the gateway', (done) => gateway._subscribe('iot-2/type/pump/id/+/cmd/+/fmt/+', 1, done));
  const relayed = heard(gateway, 'command', 'command through the gateway', (t, i, c) => c === 'relay');
  await called('command', (done) => app.publishCommand('pump', 'p-01', 'relay', 'json', { d: {} }, 1, done));
  const [gt, gi] = await relayed;
  same([gt, gi], ['pump', 'p-01'], 'command through the gateway');
  step('gateway publishes and hears for itself and its devices');

  const other = application('other');
  const otherUp = heard(app, 'appStatus', 'status of the application', (id, p) => id === 'other' && JSON.parse(p).Action === 'Connect');
  app.subscribeToAppStatus();
  await connected(other, 'another application');
  await otherUp;
  const otherDown = heard(app, 'appStatus', 'end of the application', (id, p) => id === 'other' && JSON.parse(p).Action === 'Disconnect');
  other.disconnect();
  await otherDown;
  const deviceDown = heard(app, 'deviceStatus', 'end of the device', (t, i, p) => i === 'p-01' && JSON.parse(p).Action === 'Disconnect');
  device.disconnect();
  await deviceDown;
  step('status of devices and applications');

  const members = [1, 2].map(() => application('group', { sharedSubscription: true, cleanStart: false }));
  const counts = [0, 0];
  let all;
  const arrived = new Promise((resolve) => { all = resolve; });
  for (const [i, m] of members.entries()) {
    await connected(m, 'member');
    m.on('deviceEvent', () => { counts[i]++; if (counts[0] + counts[1] === 40) all(); });
    await called('events of a member', (done) => m.subscribeToEvents('pump', undefined, 'shared', undefined, 1, done));
  }
  for (let n = 0; n < 40; n++) await called('shared event', (done) => app.publishEvent('pump', 'p-01', 'shared', 'json', { n }, 1, done));
  await Promise.race([arrived, new Promise((_, no) => setTimeout(() => no(new Error('members got ' + counts)), patience))]);
  same(counts, [20, 20], 'shared between two members');
  step('members of a scalable application share');

  const stranger = application('stranger', {}, 'wrong');
  const error = heard(stranger, 'error', 'refused login');
  stranger.connect();
  if (!/Not authorized/.test(String((await error)[0]))) throw new Error('refused login: ' + stranger.lastError);
  step('a wrong token is refused');

  for (const c of [app, gateway, ...members]) c.disconnect();
}

registry().then(messages).then(() => { step('all'); process.exit(0); }, fail);
