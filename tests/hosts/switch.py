#!/usr/bin/env python3
"""A network switch of TAP devices that takes its time and loses packets.

    switch.py --delay SECONDS --loss SHARE --mtu BYTES HEAD NAME...

makes a device to-NAME for each name, whose packets go where their addresses say. Between two names each packet is late by
the delay, and the given share of them is lost, in a fixed pseudo-random order; what HEAD sends and receives is neither.
Prints "ready" when the devices are there, and works until it is killed.
"""
import argparse
import collections
import fcntl
import os
import random
import select
import struct
import subprocess
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
BATCH = 64  # packets of one device before the others have their turn


def make_device(name, mtu):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", f"to-{name}".encode(), IFF_TAP | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", f"to-{name}", "mtu", str(mtu), "txqueuelen", "10000"], check=True)
    return device


class Switch:
    def __init__(self, devices, delay, loss):
        self.devices, self.head, self.delay, self.loss = devices, devices[0], delay, loss
        self.where = {}  # hardware address -> device
        self.late = collections.deque()  # (when, to which device, packet), in the order of time
        self.chance = random.Random(1)

    def work(self):
        while True:
            wait = max(0.0, self.late[0][0] - time.monotonic()) if self.late else None
            for device in select.select(self.devices, [], [], wait)[0]:
                self.receive(device)
            self.send_what_is_due()

    def receive(self, device):
        for _ in range(BATCH):
            try:
                packet = os.read(device, 65536)
            except OSError:  # no more, or the device is down
                return
            self.where[packet[6:12]] = device
            known = self.where.get(packet[:6])
            for other in self.devices if known is None else [known]:
                if other != device:
                    self.pass_on(packet, device, other)

    def pass_on(self, packet, device, other):
        if self.head in (device, other):
            send(other, packet)
        elif self.chance.random() >= self.loss:
            self.late.append((time.monotonic() + self.delay, other, packet))

    def send_what_is_due(self):
        now = time.monotonic()
        while self.late and self.late[0][0] <= now:
            _, device, packet = self.late.popleft()
            send(device, packet)


def send(device, packet):
    try:
        os.write(device, packet)
    except OSError:  # the device is down: the packet is lost, as with a cable that is pulled
        pass


def take_precedence():
    """A cable does not wait for the processors of its hosts."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:  # not allowed here: packets are later than they need be
        pass


def main():
    parser = argparse.ArgumentParser(description="A network switch that takes its time and loses packets.")
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--loss", type=float, default=0)
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    take_precedence()
    devices = [make_device(name, arguments.mtu) for name in arguments.names]
    print("ready", flush=True)
    Switch(devices, arguments.delay, arguments.loss).work()


if __name__ == "__main__":
    main()
