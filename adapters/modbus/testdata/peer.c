/* A Modbus server made of libmodbus: peer tcp, which prints its port, or peer PATH UNIT on a serial port. */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail(const char *what) {
	fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
	exit(1);
}

static modbus_mapping_t *fill(void) {
	modbus_mapping_t *m = modbus_mapping_new(300, 300, 200, 200);
	if (!m)
		fail("mapping");
	for (int i = 0; i < 200; i++) {
		m->tab_registers[i] = 0x3000 + i;
		m->tab_input_registers[i] = 0x4000 + i;
	}
	for (int i = 0; i < 300; i++) {
		m->tab_bits[i] = i % 3 == 0;
		m->tab_input_bits[i] = i % 5 == 0;
	}
	/* modbus_set_float is CDAB; the functions that bear the names of the orders differ between versions of libmodbus. */
	uint16_t *f = m->tab_input_registers;
	modbus_set_float(230.2f, f + 2);
	f[0] = f[3], f[1] = f[2];
	f[4] = htons(f[0]), f[5] = htons(f[1]);
	f[6] = htons(f[1]), f[7] = htons(f[0]);
	m->tab_input_registers[10] = (uint16_t)-40;
	MODBUS_SET_INT32_TO_INT16(m->tab_input_registers, 12, -100000);
	MODBUS_SET_INT64_TO_INT16(m->tab_input_registers, 14, 1234567890123456789LL);
	return m;
}

int main(int argc, char **argv) {
	uint8_t query[MODBUS_MAX_ADU_LENGTH];
	modbus_mapping_t *m = fill();
	if (argc == 3) {
		modbus_t *ctx = modbus_new_rtu(argv[1], 19200, 'E', 8, 1);
		if (!ctx || modbus_set_slave(ctx, atoi(argv[2])) || modbus_connect(ctx))
			fail(argv[1]);
		puts("ready");
		fflush(stdout);
		for (;;) {
			int n = modbus_receive(ctx, query);
			if (n > 0)
				modbus_reply(ctx, query, n, m);
		}
	}
	modbus_t *ctx = modbus_new_tcp("127.0.0.1", 0);
	int l = ctx ? modbus_tcp_listen(ctx, 1) : -1;
	struct sockaddr_in addr;
	socklen_t size = sizeof addr;
	if (l < 0 || getsockname(l, (struct sockaddr *)&addr, &size))
		fail("listen");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	for (;;) {
		if (modbus_tcp_accept(ctx, &l) < 0)
			fail("accept");
		int n;
		while ((n = modbus_receive(ctx, query)) != -1)
			if (n > 0)
				modbus_reply(ctx, query, n, m);
		modbus_close(ctx);
	}
}
