/* batch_journal.c - writes and reads the journal of an unordered output file. */
#include "cli/batch_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char magic[RF_JOURNAL_RECORD] = "rpcfan batch journal 1\n";

/* FNV-1a over the fields and the record's place: a torn or moved record does not match. */
static uint64_t checksum(uint64_t line, uint64_t end, uint64_t place)
{
    const uint64_t field[3] = {line, end, place};
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < 3; i++) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            h ^= (field[i] >> shift) & 0xff;
            h *= UINT64_C(0x100000001b3);
        }
    }
    return h;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static enum rpcfan_err fail_io(const char *path, int code, struct rpcfan_error *err)
{
    return rf_fail(err, RPCFAN_EIO, "%.200s: %s", path, strerror(code));
}

enum rpcfan_err rf_journal_create(struct rf_journal *j, const char *path, struct rpcfan_error *err)
{
    *j = (struct rf_journal){.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
    if (j->fd < 0)
        return fail_io(path, errno, err);
    int code = write_all(j->fd, magic, sizeof magic);
    return code == 0 ? RPCFAN_OK : fail_io(path, code, err);
}

enum rpcfan_err rf_journal_reopen(struct rf_journal *j, const char *path, uint64_t records,
                                  struct rpcfan_error *err)
{
    off_t size = (off_t)((records + 1) * RF_JOURNAL_RECORD);
    *j = (struct rf_journal){.fd = open(path, O_WRONLY | O_CLOEXEC), .records = records};
    if (j->fd < 0 || ftruncate(j->fd, size) != 0 || lseek(j->fd, size, SEEK_SET) < 0)
        return fail_io(path, errno, err);
    return RPCFAN_OK;
}

void rf_journal_note(struct rf_journal *j, uint64_t line, uint64_t end)
{
    const uint64_t field[3] = {line, end, checksum(line, end, j->records)};
    j->records++;
    rf_buf_add(&j->pending, field, sizeof field);
}

int rf_journal_flush(struct rf_journal *j)
{
    if (j->pending.failed)
        return ENOMEM;
    int code = write_all(j->fd, j->pending.data, j->pending.len);
    j->pending.len = 0;
    return code;
}

void rf_journal_fini(struct rf_journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    rf_buf_fini(&j->pending);
    *j = (struct rf_journal){.fd = -1};
}

/* A read that is short only at the end of the file. */
static size_t read_full(int fd, char *out, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n = read(fd, out + got, len - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

int64_t rf_journal_read(int fd, bool (*each)(const struct rf_journal_record *rec, void *arg),
                        void *arg)
{
    char block[RF_JOURNAL_RECORD * 1024];
    uint64_t field[3];
    int64_t records = 0;
    size_t n = read_full(fd, block, sizeof magic);
    if (memcmp(block, magic, n) != 0)
        return -1;
    while ((n = read_full(fd, block, sizeof block)) >= RF_JOURNAL_RECORD) {
        for (size_t at = 0; at + RF_JOURNAL_RECORD <= n; at += RF_JOURNAL_RECORD) {
            memcpy(field, block + at, sizeof field);
            struct rf_journal_record rec = {.line = field[0], .end = field[1]};
            if (field[2] != checksum(field[0], field[1], (uint64_t)records) || !each(&rec, arg))
                return records;
            records++;
        }
    }
    return records;
}

bool rf_journal_is_ours(const char *path)
{
    char head[sizeof magic];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT;
    size_t n = read_full(fd, head, sizeof head);
    close(fd);
    return memcmp(head, magic, n) == 0;
}
