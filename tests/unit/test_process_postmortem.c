/* tests/unit/test_process_postmortem.c - what a task that crashes leaves behind: the address, the calls, their names.
 * SPDX-License-Identifier: MIT
 * Each crash is a task's, in a worker process.  What is expected of names holds where the unwinder works; elsewhere (another C
 * library) one frame is left, which is expected as well.  After each test no process of ours lives, and nothing is left. */
#include "unit.h"

#include <cfutures.h>
#include <cfutures/postmortem.h>

#include <sys/resource.h>

/* Has a frame of its own, and crashes where it does, in place of a report. */
#define OWN __attribute__((noinline, no_sanitize("undefined"), no_sanitize_address))

#ifdef __GLIBC__
enum { UNWINDS = 1 };
#else
enum { UNWINDS = 0 };
#endif

/* ---- crashes; each goes on after its calls, so that none is a jump ---- */

static volatile int after;

OWN static void
touch(uintptr_t address)
{
    *(volatile int *)address = 1;
    after = 1;
}

OWN static void
middle(uintptr_t address)
{
    touch(address);
    after = 2;
}

static void
touch_deep(uintptr_t address)
{
    middle(address);
    after = 3;
}
CF_TASK_VOID(touch_deep, uintptr_t);

OWN static int
overflow_in(volatile char *outer)
{
    volatile char mine[512];
    mine[0] = *outer;
    return mine[0] == 0 ? 0 : overflow_in(mine) + mine[0];
}

static int
overflow(char not_zero)
{
    volatile char first = not_zero;
    return overflow_in(&first);
}
CF_TASK(int, overflow, char);

OWN static void
give_up(void)
{
    abort();
}

OWN static void
abort_deep(void)
{
    give_up();
    after = 1;
}
CF_TASK_VOID(abort_deep);

OWN static void
raise_it(int signal_number)
{
    (void)raise(signal_number);
    after = 1;
}
CF_TASK_VOID(raise_it, int);

/* Whatever the compiler makes of a function that nobody has written. */
static void (*volatile nowhere)(void);

OWN static void
call_nowhere(uintptr_t where)
{
    nowhere = (void (*)(void))where;
    nowhere();
    after = 1;
}
CF_TASK_VOID(call_nowhere, uintptr_t);

OWN static void
crash_in_handler(int signal_number)
{
    touch((uintptr_t)signal_number);
    after = 1;
}

OWN static void
be_interrupted(void)
{
    (void)signal(SIGUSR1, crash_in_handler);
    (void)raise(SIGUSR1);
    after = 1;
}
CF_TASK_VOID(be_interrupted);

OWN static void *
thread_touches(void *argument)
{
    (void)pthread_barrier_wait(argument);
    touch(48);
    return NULL;
}

OWN static void *
thread_traps(void *argument)
{
    (void)pthread_barrier_wait(argument);
    (void)raise(SIGABRT);
    after = 1;
    return NULL;
}

/* Threads of the task's own crash at the same time, as many as it says. */
static void
crash_in_threads(int count)
{
    pthread_t threads[2];
    pthread_barrier_t together;
    (void)pthread_barrier_init(&together, NULL, (unsigned)count);
    for (int i = 0; i < count; i++)
        (void)pthread_create(&threads[i], NULL, i == 0 ? thread_touches : thread_traps, &together);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(crash_in_threads, int);

/* The main thread, which is to be asked, doesn't listen. */
static void
crash_in_thread_unheard(void)
{
    pthread_t thread;
    pthread_barrier_t together;
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_barrier_init(&together, NULL, 2);
    (void)pthread_create(&thread, NULL, thread_touches, &together);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
    (void)pthread_barrier_wait(&together);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(crash_in_thread_unheard);

/* The record can't be written: the handler itself crashes, by another signal. */
static void
abort_without_record(void)
{
    uintptr_t record = (uintptr_t)cf__worker_of(cf__task_current())->record;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)mprotect((void *)(record / page * page), page, PROT_NONE);
    give_up();
    after = 1;
}
CF_TASK_VOID(abort_without_record);

static void
die_after_child_crashed(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        touch(16);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
        cf_fail(1, "the child ended with status %#x", (unsigned)status);
    else
        _exit(3);
}
CF_TASK_VOID(die_after_child_crashed);

static void
crash_then_exit(unsigned *runs)
{
    if (__atomic_fetch_add(runs, 1, __ATOMIC_RELAXED) == 0)
        touch(16);
    _exit(3);
}
CF_TASK_VOID(crash_then_exit, unsigned *);

/* Whether SIGSEGV and SIGTRAP, which cmocka leaves alone, have handlers: bits 0 and 1. */
static int
handled(void)
{
    struct sigaction segv, trap;
    (void)sigaction(SIGSEGV, NULL, &segv);
    (void)sigaction(SIGTRAP, NULL, &trap);
    return (segv.sa_handler != SIG_DFL) + 2 * (trap.sa_handler != SIG_DFL);
}
CF_TASK(int, handled);

static void
install_again(void)
{
    stack_t before, now;
    (void)sigaltstack(NULL, &before);
    cf_postmortem(NULL);
    (void)sigaltstack(NULL, &now);
    if (before.ss_sp != now.ss_sp)
        cf_fail(1, "another stack");
}
CF_TASK_VOID(install_again);

/* ---- looking at them ---- */

/* The account of a task that died of `signal_number`; borrowed from `f`. */
static const cf_account *
account_of(cf_future *f, int signal_number)
{
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_WORKER_LOST);
    const cf_account *account = cf_future_account(f);
    assert_non_null(account);
    assert_int_equal(account->signal, signal_number);
    return account;
}

static char text[8192];

static const char *
describe(const cf_account *account)
{
    size_t length = cf_postmortem_describe(account, text, sizeof text);
    assert_true(length < sizeof text);
    assert_int_equal(length, strlen(text));
    return text;
}

/* Where in `line` a function's name stands, or one that the compiler has made of it; NULL: it doesn't. */
static const char *
find_name(const char *line, const char *name)
{
    while (line != NULL && (line = strstr(line, name)) != NULL) {
        char next = line[strlen(name)];
        if (line[-1] == ' ' && (next == '+' || next == '.'))
            return line;
        line++;
    }
    return NULL;
}

/* The functions in `names`, up to NULL, are described in that order, the first in the first line; without an unwinder only
 * the first is. */
static void
assert_names(const cf_account *account, const char *const *names)
{
    const char *at = describe(account);
    for (int i = 0; names[i] != NULL && (i == 0 || UNWINDS); i++) {
        const char *found = find_name(at, names[i]);
        if (found == NULL || (i == 0 && strchr(text, '\n') < found))
            fail_msg("no %s where it's due:\n%s", names[i], text);
        at = found + 1;
    }
}

static cf_executor *
new_pool(void)
{
    return cf_process_pool(.max_workers = 1, .on_start = cf_postmortem);
}

/* ---- what is left of a crash ---- */

/* The address that was touched, NULL as well as another, and the calls that led there, static functions' names and all. */
static void
test_fault_address_and_calls(void **state)
{
    (void)state;
    static const uintptr_t addresses[] = {0, 4080};
    cf_executor *pool = new_pool();
    for (size_t i = 0; i < 2; i++) {
        cf_future *f = cf_submit(pool, touch_deep, addresses[i]);
        const cf_account *account = account_of(f, SIGSEGV);
        assert_true(account->fault_known);
        assert_int_equal(account->fault_address, addresses[i]);
        assert_names(account, (const char *const[]){"touch", "middle", NULL});
        assert_non_null(strstr(cf_future_message(f), i == 0 ? "touched address 0x0" : "touched address 0xff0"));
        assert_null(strchr(cf_future_message(f), '\n'));
        cf_future_release(f);
    }
    cf_executor_close(pool);
}

/* A name, what is added to it, and the file's address say the same; the file is this one. */
static void
test_offsets_agree(void **state)
{
    (void)state;
    extern const Elf64_Ehdr __executable_start; /* the linker's */
    char self[4096], path[4096];
    unsigned long long address, in_function, in_file;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = 0;
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, touch_deep, (uintptr_t)16);
    const char *line = describe(account_of(f, SIGSEGV));
    assert_int_equal(
        sscanf(line, "#0 0x%llx touch+0x%llx (%4095[^+]+0x%llx)\n", &address, &in_function, path, &in_file), 4);
    assert_string_equal(path, self);
    assert_int_equal(address, cf_future_account(f)->frames[0]);
    assert_int_equal(address - in_function, (uintptr_t)touch);
    uintptr_t start = (uintptr_t)&__executable_start;
    assert_int_equal(address - in_file, __executable_start.e_type == ET_DYN ? start : 0);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* The handler has a stack of its own, and as many frames are kept as there is room for. */
static void
test_stack_overflow_is_told(void **state)
{
    (void)state;
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, overflow, (char)1);
    const cf_account *account = account_of(f, SIGSEGV);
    assert_true(account->fault_known && account->fault_address != 0);
    assert_int_equal(account->frame_count, UNWINDS ? CF_FRAMES_MOST : 1);
    assert_names(account, (const char *const[]){"overflow_in", "overflow_in", "overflow_in", NULL});
    cf_future_release(f);
    cf_executor_close(pool);
}

/* A signal without an address has calls all the same. */
static void
test_signals_without_address(void **state)
{
    (void)state;
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, abort_deep);
    const cf_account *account = account_of(f, SIGABRT);
    assert_false(account->fault_known);
    assert_null(strstr(cf_future_message(f), "address"));
#ifdef __GLIBC__
    (void)describe(account);
    assert_true(find_name(text, "abort") != NULL && find_name(text, "abort") < find_name(text, "give_up"));
    assert_non_null(find_name(find_name(text, "give_up"), "abort_deep"));
#endif
    cf_future_release(f);
#ifdef __x86_64__
    f = cf_submit(pool, touch_deep, UINT64_C(1) << 63); /* no such address can be: the CPU doesn't say which it was */
    assert_false(account_of(f, SIGSEGV)->fault_known);
    cf_future_release(f);
#endif
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        f = cf_submit(pool, raise_it, signals[i]);
        account = account_of(f, signals[i]);
        assert_false(account->fault_known);
        assert_true(account->frame_count > 0);
        (void)describe(account);
        assert_true(!UNWINDS || find_name(text, "raise_it") != NULL);
        cf_future_release(f);
    }
    cf_executor_close(pool);
}

/* Who called what is no function, NULL or something else, is known. */
static void
test_call_of_nowhere(void **state)
{
    (void)state;
    static const uintptr_t addresses[] = {0, 4096};
    cf_executor *pool = new_pool();
    for (size_t i = 0; i < 2; i++) {
        cf_future *f = cf_submit(pool, call_nowhere, addresses[i]);
        const cf_account *account = account_of(f, SIGSEGV);
        assert_true(account->fault_known);
        assert_int_equal(account->fault_address, addresses[i]);
        assert_int_equal(account->frames[0], addresses[i]);
        assert_non_null(find_name(describe(account), "call_nowhere"));
        assert_non_null(strstr(text, i == 0 ? "#0 0x0000000000000000 (in no file)\n#1 " : "(in no file)\n#1 "));
        assert_true(!UNWINDS || account->frame_count > 2); /* and who called that one */
        cf_future_release(f);
    }
    cf_executor_close(pool);
}

/* A handler of the task's own that crashes is seen with what it interrupted. */
static void
test_crash_in_handler(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* it calls handlers of its own making, with all signals blocked */
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, be_interrupted);
    assert_names(account_of(f, SIGSEGV), (const char *const[]){"touch", "crash_in_handler", "be_interrupted", NULL});
    cf_future_release(f);
    cf_executor_close(pool);
}

/* A thread that the task has started finds the record by asking. */
static void
test_crash_in_thread(void **state)
{
    (void)state;
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, crash_in_threads, 1);
    const cf_account *account = account_of(f, SIGSEGV);
    assert_true(account->fault_known);
    assert_int_equal(account->fault_address, 48);
    assert_names(account, (const char *const[]){"touch", "thread_touches", NULL});
    cf_future_release(f);
    cf_executor_close(pool);
}

/* Of two that crash at once, signal, address and calls are the same one's. */
static void
test_crash_in_two_threads(void **state)
{
    (void)state;
    cf_executor *pool = new_pool();
    for (int i = 0; i < 20; i++) {
        cf_future *f = cf_submit(pool, crash_in_threads, 2);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_WORKER_LOST);
        const cf_account *account = cf_future_account(f);
        bool touched = account->signal == SIGSEGV;
        assert_true(touched || account->signal == SIGABRT);
        assert_int_equal(account->fault_known, touched);
        (void)describe(account);
        if (UNWINDS && find_name(text, touched ? "thread_touches" : "thread_traps") == NULL)
            fail_msg("signal %d, but:\n%s", account->signal, text);
        cf_future_release(f);
    }
    cf_executor_close(pool);
}

/* If the main thread doesn't answer, the process dies all the same. */
static void
test_crash_in_thread_unheard(void **state)
{
    (void)state;
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, crash_in_thread_unheard);
    const cf_account *account = account_of(f, SIGSEGV);
    assert_false(account->fault_known);
    assert_int_equal(account->frame_count, 0);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* A handler that crashes itself doesn't hide what the worker died of. */
static void
test_second_fault_in_handler(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* it keeps back the signal that ends the process */
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, abort_without_record);
    (void)account_of(f, SIGABRT);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* ---- what isn't ours to tell ---- */

/* A process that a task has forked says nothing in the worker's name. */
static void
test_crash_of_tasks_child(void **state)
{
    (void)state;
    cf_executor *pool = new_pool();
    cf_future *f = cf_submit(pool, die_after_child_crashed);
    const cf_account *account = account_of(f, 0);
    assert_int_equal(account->status, 3);
    assert_false(account->fault_known);
    assert_int_equal(account->frame_count, 0);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* A task that is run again has the account of its last death only. */
static void
test_retry_forgets_the_crash(void **state)
{
    (void)state;
    cf_executor *pool = new_pool();
    unsigned *runs = cf_executor_alloc(pool, sizeof *runs);
    assert_non_null(runs);
    *runs = 0;
    cf_future *f = cf_submit_with(pool, cf_options(.retries = 1), crash_then_exit, runs);
    const cf_account *account = account_of(f, 0);
    assert_int_equal(account->tries, 2);
    assert_false(account->fault_known);
    assert_int_equal(account->frame_count, 0);
    cf_future_release(f);
    cf_executor_free(pool, runs);
    cf_executor_close(pool);
}

/* Without it nothing is known of the place, and no signal is handled. */
static void
test_no_postmortem_without_asking(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    int handlers = -1;
    cf_future *f = cf_submit(pool, handled);
    assert_int_equal(cf_result(f, handled, &handlers, CF_FOREVER), CF_OK);
    assert_int_equal(handlers, 0);
    cf_future_release(f);
    f = cf_submit(pool, touch_deep, (uintptr_t)16);
    const cf_account *account = account_of(f, SIGSEGV);
    assert_false(account->fault_known);
    assert_int_equal(account->frame_count, 0);
    assert_string_equal(describe(account), "");
    assert_string_equal(describe(NULL), "");
    cf_future_release(f);
    cf_executor_close(pool);
}

static void
handle_segv_first(void *unused)
{
    (void)signal(SIGSEGV, crash_in_handler);
    (void)signal(SIGBUS, SIG_IGN);
    cf_postmortem(unused);
    if (signal(SIGSEGV, SIG_DFL) != crash_in_handler || signal(SIGBUS, SIG_DFL) != SIG_IGN)
        (void)cf_fail(1, "another handler");
}

/* What the program handles or ignores stays so, and what is there once isn't made again. */
static void
test_own_handlers_stay(void **state)
{
    (void)state;
    int handlers = -1;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .on_start = handle_segv_first);
    cf_future *f = cf_submit(pool, handled);
    assert_int_equal(cf_result(f, handled, &handlers, CF_FOREVER), CF_OK);
    assert_int_equal(handlers, 2); /* of the others */
    cf_future_release(f);
    cf_executor_close(pool);
    pool = new_pool();
    f = cf_submit(pool, install_again);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    cf_future_release(f);
    f = cf_submit(pool, handled);
    assert_int_equal(cf_result(f, handled, &handlers, CF_FOREVER), CF_OK);
    assert_int_equal(handlers, 3);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* On threads, and outside of tasks, it leaves the program's signals alone. */
static void
test_postmortem_elsewhere(void **state)
{
    (void)state;
    int before = handled(), now = -1;
    cf_postmortem(NULL);
    assert_int_equal(handled(), before);
    cf_executor *pool = cf_thread_pool(.max_workers = 1, .on_start = cf_postmortem);
    cf_future *f = cf_submit(pool, handled);
    assert_int_equal(cf_result(f, handled, &now, CF_FOREVER), CF_OK);
    assert_int_equal(now, before);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* Without memory for its stack the worker works, and crashes as without it. */
static void
test_no_memory_for_its_stack(void **state)
{
    (void)state;
    cf_executor *pool = new_pool();
    cf_executor_close(pool);
    fault_fail_from("fault_stack", 1, ENOMEM);
    pool = new_pool();
    cf_future *f = cf_submit(pool, touch_deep, (uintptr_t)16);
    assert_false(account_of(f, SIGSEGV)->fault_known);
    assert_int_equal(fault_fired("fault_stack") > 0, 1);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* ---- text ---- */

/* However small the room, the text is cut there, ended, and its whole length returned. */
static void
test_describe_cuts(void **state)
{
    (void)state;
    cf_account account;
    char whole[1024], part[1024];
    memset(&account, 0, sizeof account);
    account.frame_count = CF_FRAMES_MOST + 100; /* more than there are */
    account.frames[1] = (uintptr_t)touch;
    account.frames[2] = (uintptr_t)whole;
    account.frames[3] = UINT64_MAX;
    size_t length = cf_postmortem_describe(&account, whole, sizeof whole);
    assert_int_equal(length, strlen(whole));
    assert_non_null(strstr(whole, " touch+0x0 ("));
    assert_non_null(strstr(whole, "#13 "));
    assert_null(strstr(whole, "#14 "));
    assert_int_equal(cf_postmortem_describe(&account, NULL, 0), length);
    for (size_t size = 1; size <= length; size++) {
        memset(part, 'x', sizeof part);
        assert_int_equal(cf_postmortem_describe(&account, part, size), length);
        assert_memory_equal(part, whole, size - 1);
        assert_int_equal(part[size - 1], 0);
        assert_int_equal(part[size], 'x');
    }
}

/* Where the system won't show its files, addresses are left. */
static void
test_describe_without_files(void **state)
{
    (void)state;
    cf_account account;
    memset(&account, 0, sizeof account);
    account.frame_count = 1;
    account.frames[0] = (uintptr_t)touch;
    fault_fail_nth("open", 1, EACCES);
    assert_non_null(strstr(describe(&account), "(in no file)\n"));
    fault_fail_nth("open", 2, EACCES);
    assert_non_null(strstr(describe(&account), ", at byte 0x"));
    for (unsigned n = 1;; n++) {
        fault_fail_from("read", n, EIO);
        (void)describe(&account);
        if (fault_fired("read") == 0)
            break;
        assert_null(strstr(text, " touch+"));
    }
    fault_clear();
    assert_non_null(strstr(describe(&account), " touch+0x0 ("));
}

/* A copy of this program in memory; *size is how long it is. */
static int
copy_of_program(uint64_t *size)
{
    char part[65536];
    uint64_t at = 0;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int copy = (int)syscall(SYS_memfd_create, "copy", 1);
    assert_true(from >= 0 && copy >= 0);
    for (ssize_t n; (n = pread(from, part, sizeof part, (off_t)at)) > 0; at += (uint64_t)n)
        assert_int_equal(pwrite(copy, part, (size_t)n, (off_t)at), n);
    (void)close(from);
    *size = at;
    return copy;
}

/* Writes another name, and what follows, wherever `name` stands by itself in the file. */
static void
write_name(int file, uint64_t size, const char *name, const char *other)
{
    char window[16];
    size_t length = strlen(name) + 2; /* with the 0 before it, and its own */
    unsigned char *whole = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
    assert_true(whole != MAP_FAILED && length <= sizeof window);
    (void)snprintf(window + 1, sizeof window - 1, "%s", name);
    window[0] = 0;
    for (uint64_t at = 0; at + length <= size; at++) {
        if (memcmp(whole + at, window, length) == 0)
            assert_true(pwrite(file, other, strlen(other), (off_t)(at + 1)) > 0);
    }
    (void)munmap(whole, size);
}

/* Whatever stands in a file, a search in it ends, and a name is one that can be printed. */
static void
test_symbols_of_broken_files(void **state)
{
    (void)state;
    char path[64];
    uint64_t size;
    cf__symbol symbol;
    cf__mapping mapping;
    Elf64_Ehdr header;
    uint32_t random = 20;
    int named = 0, file = copy_of_program(&size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    assert_true(cf__os_mapping_at((uintptr_t)touch, &mapping));
    uint64_t place = (uintptr_t)touch - mapping.start + mapping.offset;
    assert_true(cf__symbol_find(path, place, &symbol));
    assert_string_equal(symbol.name, "touch");
    assert_int_equal(pread(file, &header, sizeof header, 0), sizeof header);

    for (int i = 0; i < 1500; i++) {
        /* Up to four bytes of the headers are changed, for these lead everywhere else. */
        struct {
            off_t at;
            unsigned char was;
        } changes[4];
        int count = 1 + i % 4;
        for (int k = 0; k < count; k++) {
            random = random * 1664525 + 1013904223;
            uint32_t where = random >> 8, what = random >> 24;
            changes[k].at = where % 3 == 0   ? (off_t)(where % sizeof header)
                            : where % 3 == 1 ? (off_t)(header.e_phoff + where % (header.e_phnum * sizeof(Elf64_Phdr)))
                                             : (off_t)(header.e_shoff + where % (header.e_shnum * sizeof(Elf64_Shdr)));
            assert_int_equal(pread(file, &changes[k].was, 1, changes[k].at), 1);
            assert_int_equal(pwrite(file, &what, 1, changes[k].at), 1);
        }
        if (cf__symbol_find(path, place, &symbol) && symbol.name[0] != 0) {
            assert_true(strlen(symbol.name) < CF__FUNCTION_NAME);
            for (const char *c = symbol.name; *c != 0; c++)
                assert_true(*c > ' ' && *c <= '~');
            named++;
        }
        for (int k = count; k-- > 0;)
            assert_int_equal(pwrite(file, &changes[k].was, 1, changes[k].at), 1);
    }
    assert_true(named > 0 && named < 1500);
    write_name(file, size, "touch", "to\033[h");
    assert_true(cf__symbol_find(path, place, &symbol));
    assert_string_equal(symbol.name, "to?[h");
    char endless[300];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = 0;
    write_name(file, size, "to\033[h", endless);
    assert_true(cf__symbol_find(path, place, &symbol));
    assert_int_equal(strlen(symbol.name), CF__FUNCTION_NAME - 1);
    /* Nor does it matter where it ends. */
    for (uint64_t end = size; end > 0; end -= CF__MIN(end, size / 97 + 1)) {
        assert_int_equal(ftruncate(file, (off_t)end), 0);
        (void)cf__symbol_find(path, place, &symbol);
    }
    (void)close(file);
    assert_false(cf__symbol_find("/proc/self/fd/-1", place, &symbol));
}

int
main(void)
{
    const struct rlimit no_core_files = {0, 0};
    const struct CMUnitTest tests[] = {
#define crash_test(f) cmocka_unit_test_setup_teardown(f, leaks_start_processes, leaks_none_processes)
        crash_test(test_fault_address_and_calls),
        crash_test(test_offsets_agree),
        crash_test(test_stack_overflow_is_told),
        crash_test(test_signals_without_address),
        crash_test(test_call_of_nowhere),
        crash_test(test_crash_in_handler),
        crash_test(test_crash_in_thread),
        crash_test(test_crash_in_two_threads),
        crash_test(test_crash_in_thread_unheard),
        crash_test(test_second_fault_in_handler),
        crash_test(test_crash_of_tasks_child),
        crash_test(test_retry_forgets_the_crash),
        crash_test(test_no_postmortem_without_asking),
        crash_test(test_own_handlers_stay),
        crash_test(test_postmortem_elsewhere),
        crash_test(test_no_memory_for_its_stack),
        crash_test(test_describe_cuts),
        crash_test(test_describe_without_files),
        crash_test(test_symbols_of_broken_files),
    };
    (void)setrlimit(RLIMIT_CORE, &no_core_files); /* the crashes are meant */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
