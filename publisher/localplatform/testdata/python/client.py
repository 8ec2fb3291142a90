"""paho for Python against a platform with TLS: an application hears its events, at each QoS, with the retained flag cleared."""
import os
import socket
import sys
import threading

import paho.mqtt.client as mqtt

HOST, TOPIC = "events." + os.environ["DOMAIN"], "iot-2/type/kiln/id/K-1/evt/temperature/fmt/json"
# The certificate is for a name; it leads to this machine.
socket.getaddrinfo = lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", int(os.environ["PORT"])))]


def fail(why):
    print("FAILED", why)
    os._exit(1)


threading.Timer(30, fail, ["no end within 30 s"]).start()
client = mqtt.Client(client_id="a:%s:python" % os.environ["ORG"], clean_session=True, protocol=mqtt.MQTTv311)
client.username_pw_set(os.environ["KEY"], os.environ["TOKEN"])
client.tls_set(ca_certs=os.environ["CA"])
heard = []


def on_connect(client, _userdata, _flags, code):
    if code != 0:
        fail("login: %d" % code)
    client.subscribe("iot-2/type/+/id/+/evt/+/fmt/+", qos=2)


def on_subscribe(client, _userdata, _mid, granted):
    if tuple(granted) != (2,):
        fail("granted %r" % (granted,))
    for qos in (0, 1, 2):
        client.publish(TOPIC, '{"d":{"qos":%d}}' % qos, qos=qos, retain=True)


def on_message(_client, _userdata, m):
    heard.append((m.topic, m.payload.decode(), m.qos, m.retain))
    if len(heard) == 3:
        want = [(TOPIC, '{"d":{"qos":%d}}' % q, q, 0) for q in (0, 1, 2)]
        if heard != want:
            fail("heard %r" % heard)
        print("ok")
        sys.stdout.flush()
        os._exit(0)


client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.on_disconnect = lambda _c, _u, code: fail("disconnected: %d" % code)
client.connect(HOST, int(os.environ["PORT"]), keepalive=30)
client.loop_forever()
