/* tests/fault/test_process_sandbox.c - sandbox.h: what a task in a sandbox may do, and what becomes of it if it does more.
 * SPDX-License-Identifier: MIT */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <cfutures.h>
#include <cfutures/sandbox.h>

/* ---- what a task may do ---- */

static long
compute(int n)
{
    long sum = 0;
    size_t size = (size_t)n * 100000;
    unsigned char *memory = malloc(size); /* from small to more than malloc has at hand */
    struct timespec now, nap = {0, 1000}, left;
    if (memory == NULL)
        return -1;
    memset(memory, n, size);
    for (size_t i = 0; i < size; i++)
        sum += memory[i];
    free(memory);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)nanosleep(&nap, &left); /* NAP: is it allowed? */
    (void)kill(getppid(), SIGUSR1);
    (void)fprintf(stderr, "%s", "");
    return sum;
}
CF_TASK(long, compute, int);

static void
give_up(int code)
{
    cf_fail(code, "code %d", code);
}
CF_TASK_VOID(give_up, int);

static void
end_by_abort(void)
{
    abort();
}
CF_TASK_VOID(end_by_abort);

/* ---- what it may not ---- */

typedef enum attempt {
    OPEN,
    SOCKET,
    EXECUTE,
    MAKE_PROCESS,
    THREAD,
    BE_TRACED,
    KILL_PARENT,
    KILL_EVERYBODY,
    KILL_TEMPLATE,
    SIGNAL_THREAD,
    MAP_OPEN_FILE,
    LIMIT_OTHERS,
    ASK_PRIVILEGES,
    ATTEMPTS
} attempt;

static int32_t test_process; /* as the workers find it: this program's id */

static void *
return_argument(void *argument)
{
    return argument;
}

/* 0: done; else errno. */
static int
try(int what)
{
    static char *const arguments[] = {NULL};
    struct rlimit limit;
    pthread_t thread;
    long result = 0;
    switch ((attempt)what) {
    case OPEN:
        result = open("/dev/null", O_RDONLY | O_CLOEXEC);
        break;
    case SOCKET:
        result = socket(AF_UNIX, SOCK_STREAM, 0);
        break;
    case EXECUTE:
        result = execve("/bin/true", arguments, arguments);
        break;
    case MAKE_PROCESS:
        result = fork();
        if (result == 0)
            _exit(0);
        break;
    case THREAD:
        result = pthread_create(&thread, NULL, return_argument, NULL);
        return result == EAGAIN ? EPERM : (int)result; /* all that pthread_create() makes of it */
    case BE_TRACED:
        result = ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        break;
    case KILL_PARENT:
        result = kill(test_process, 0);
        break;
    case KILL_EVERYBODY:
        result = kill(-1, 0);
        break;
    case KILL_TEMPLATE:
        result = kill(getppid(), SIGCONT);
        break;
    case SIGNAL_THREAD:
        result = syscall(SYS_tgkill, test_process, test_process, 0);
        break;
    case MAP_OPEN_FILE:
        result = syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, 1, 0);
        break;
    case LIMIT_OTHERS:
        result = syscall(SYS_prlimit64, test_process, RLIMIT_CORE, NULL, &limit);
        break;
    default:
        result = prctl(PR_CAPBSET_READ, 0, 0, 0, 0);
    }
    return result < 0 ? errno : 0;
}
CF_TASK(int, try, int);

#if defined(__x86_64__)
/* Asks for getpid() by another machine's numbers. */
static int
call_as_32_bits(void)
{
    int result = 20;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return result;
}
CF_TASK(int, call_as_32_bits);

static long
call_as_x32(void)
{
    return syscall(0x40000000 | SYS_getpid);
}
CF_TASK(long, call_as_x32);
#endif

/* Errno of asking a pipe where it stands: ESPIPE if it's open, EBADF if it isn't. */
static int
look_at(int descriptor)
{
    return lseek(descriptor, 0, SEEK_CUR) < 0 ? errno : 0;
}
CF_TASK(int, look_at, int);

static uint64_t
limit_of(int which)
{
    struct rlimit limit = {0, 0};
    (void)getrlimit((__rlimit_resource_t)which, &limit);
    return limit.rlim_max;
}
CF_TASK(uint64_t, limit_of, int);

static int
ask_process(int what)
{
    return prctl(what, 0, 0, 0, 0);
}
CF_TASK(int, ask_process, int);

/* Megabytes that malloc() gives, up to `most`. */
static int
allocate(int most)
{
    int n = 0;
    while (n < most) {
        unsigned char *memory = malloc(1 << 20);
        if (memory == NULL)
            break;
        memset(memory, 1, 1 << 20);
        n++;
    }
    return n;
}
CF_TASK(int, allocate, int);

static void
spin(void)
{
    for (volatile int i = 0;; i = 0)
        (void)i;
}
CF_TASK_VOID(spin);

/* ---- tests ---- */

/* Whether this system has what it takes, asked in a child. */
static int
enter(void)
{
    return (int)cf_sandbox_enter(NULL);
}

static bool
supported(void)
{
    int status = run_in_child(enter);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CF_ERR_UNSUPPORTED)
        return false;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == CF_OK);
    return true;
}

#define SKIP_UNLESS_SUPPORTED()                                                                                        \
    if (!supported()) {                                                                                                \
        print_message("  no seccomp here\n");                                                                          \
        skip();                                                                                                        \
    }

static cf_executor *
sandboxed(unsigned workers, cf_sandbox_opts *options)
{
    test_process = getpid();
    cf_executor *pool =
        cf_process_pool(.max_workers = workers, .on_start = cf_sandbox_on_start, .on_start_context = options);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    return pool;
}

/* Tasks that compute notice nothing. */
static void
test_sandbox_lets_tasks_compute(void **state)
{
    int n[40];
    long sum[40];
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    cf_executor *pool = sandboxed(2, NULL);
    for (int i = 0; i < 40; i++)
        n[i] = i + 1;
    assert_int_equal(cf_map(pool, compute, 40, sum, n), CF_OK);
    for (int i = 0; i < 40; i++)
        assert_int_equal(sum[i], (long)(i + 1) * (i + 1) * 100000);
    cf_future *fails = cf_submit(pool, give_up, 7), *aborts = cf_submit(pool, end_by_abort);
    assert_int_equal(cf_future_wait(fails, CF_FOREVER), CF_ERR_FAILED);
    assert_int_equal(cf_future_code(fails), 7);
    assert_int_equal(cf_future_wait(aborts, CF_FOREVER), CF_ERR_WORKER_LOST);
    assert_int_equal(cf_future_signal(aborts), SIGABRT);
    cf_future_release(fails);
    cf_future_release(aborts);
    cf_executor_close(pool);
}

/* A task that does more is killed by SIGSYS; the pool goes on. */
static void
test_sandbox_kills(void **state)
{
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    cf_executor *pool = sandboxed(1, NULL);
    for (int what = 0; what < ATTEMPTS; what++) {
        long sum = 0;
        cf_future *tries = cf_submit(pool, try, what), *computes = cf_submit(pool, compute, 1);
        assert_int_equal(cf_future_wait(tries, CF_FOREVER), CF_ERR_WORKER_LOST);
        assert_int_equal(cf_future_signal(tries), SIGSYS);
        assert_non_null(strstr(cf_future_message(tries), "signal 31"));
        assert_int_equal(cf_result(computes, compute, &sum, CF_FOREVER), CF_OK);
        assert_int_equal(sum, 100000);
        cf_future_release(tries);
        cf_future_release(computes);
    }
    cf_executor_close(pool);
}

/* With `refuse` the call fails, and the task goes on. */
static void
test_sandbox_refuses(void **state)
{
    cf_sandbox_opts options = {.refuse = true};
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    cf_executor *pool = sandboxed(1, &options);
    for (int what = 0; what < ATTEMPTS; what++) {
        int error = -1;
        cf_future *tries = cf_submit(pool, try, what);
        assert_int_equal(cf_result(tries, try, &error, CF_FOREVER), CF_OK);
        assert_int_equal(error, EPERM);
        cf_future_release(tries);
    }
    cf_executor_close(pool);
}

/* System calls of another machine, under whatever number, are forbidden too. */
static void
test_sandbox_knows_its_machine(void **state)
{
    (void)state;
#if defined(__x86_64__)
    SKIP_UNLESS_SUPPORTED();
    cf_sandbox_opts options = {.refuse = true}; /* a strange machine's are never only refused */
    cf_executor *pool = sandboxed(1, NULL), *refusing = sandboxed(1, &options);
    cf_future *futures[] = {cf_submit(pool, call_as_32_bits), cf_submit(refusing, call_as_32_bits),
                            cf_submit(pool, call_as_x32)};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_ERR_WORKER_LOST);
        /* A kernel without 32-bit calls has its own answer to the first two. */
        assert_true(cf_future_signal(futures[i]) == SIGSYS || (i < 2 && cf_future_signal(futures[i]) == SIGSEGV));
        cf_future_release(futures[i]);
    }
    cf_executor_close(pool);
    cf_executor_close(refusing);
#endif
}

/* What the filter makes of a call, as the kernel would run it. */
static uint32_t
verdict(const cf__filter *filter, uint32_t machine, uint32_t number)
{
    uint32_t shown[16] = {number, machine}, loaded = 0; /* the arguments are all 0 */
    for (size_t i = 0; i < filter->count; i++) {
        const cf__filter_step *step = &filter->steps[i];
        switch (step->code) {
        case CF__FILTER_LOAD:
            loaded = shown[step->value / 4];
            break;
        case CF__FILTER_EQUAL:
            i += loaded == step->value ? step->if_true : step->if_false;
            break;
        case CF__FILTER_BITS:
            i += (loaded & step->value) != 0 ? step->if_true : step->if_false;
            break;
        default:
            return step->value;
        }
    }
    return 0; /* not reached: the last step is a return */
}

/* The same without a kernel that has such calls. */
static void
test_sandbox_filter_knows_its_machine(void **state)
{
    cf__filter filter;
    (void)state;
    cf__filter_init(&filter, CF__FILTER_ERRNO | EPERM);
    cf__filter_rules(&filter);
    cf__filter_add(&filter, CF__FILTER_RETURN, 0, 0, filter.forbidden);
    assert_int_equal(verdict(&filter, CF__AUDIT_ARCH, SYS_read), CF__FILTER_ALLOW);
    assert_int_equal(verdict(&filter, CF__AUDIT_ARCH, SYS_openat), CF__FILTER_ERRNO | EPERM);
    assert_int_equal(verdict(&filter, CF__AUDIT_ARCH, SYS_read | 0x40000000), CF__FILTER_ERRNO | EPERM);
    assert_int_equal(verdict(&filter, 0x40000003 /* i386 */, SYS_read), CF__FILTER_KILL);
    assert_int_equal(verdict(&filter, 0x40000028 /* arm */, SYS_read), CF__FILTER_KILL);
}

/* Descriptors are closed, but for those that are to stay; with and without close_range(). */
static void
test_sandbox_closes_descriptors(void **state)
{
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    for (int by_one = 0; by_one < 2; by_one++) {
        int ends[3][2];
        for (int i = 0; i < 3; i++)
            assert_int_equal(pipe(ends[i]), 0);
        int keep[] = {ends[2][1], -1, ends[0][1], ends[0][1]};
        cf_sandbox_opts options = {.keep = keep, .keep_count = 4};
        if (by_one)
            fault_fail_from("close_range", 1, ENOSYS);
        cf_executor *pool = sandboxed(1, &options);
        for (int i = 0; i < 3; i++) {
            for (int end = 0; end < 2; end++) {
                int error = -1;
                cf_future *looks = cf_submit(pool, look_at, ends[i][end]);
                assert_int_equal(cf_result(looks, look_at, &error, CF_FOREVER), CF_OK);
                assert_int_equal(error, end == 1 && i != 1 ? ESPIPE : EBADF);
                cf_future_release(looks);
            }
        }
        assert_int_equal(fault_fired("close_range") > 0, by_one);
        cf_executor_close(pool);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(close(ends[i][0]), 0);
            assert_int_equal(close(ends[i][1]), 0);
        }
    }
}

static uint64_t
limit_in(cf_executor *pool, int which)
{
    uint64_t value = 0;
    cf_future *asks = cf_submit(pool, limit_of, which);
    assert_int_equal(cf_result(asks, limit_of, &value, CF_FOREVER), CF_OK);
    cf_future_release(asks);
    return value;
}

/* Limits are as asked for, or none. */
static void
test_sandbox_limits(void **state)
{
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    cf_executor *pool = sandboxed(1, NULL);
    assert_int_equal(limit_in(pool, RLIMIT_CORE), 0);
    assert_int_equal(limit_in(pool, RLIMIT_NOFILE), 0);
    assert_int_equal(limit_in(pool, RLIMIT_NPROC), 0);
    assert_int_equal(limit_in(pool, RLIMIT_CPU), limit_of(RLIMIT_CPU));
    assert_int_equal(limit_in(pool, RLIMIT_FSIZE), limit_of(RLIMIT_FSIZE));
    assert_int_equal(limit_in(pool, RLIMIT_DATA), limit_of(RLIMIT_DATA));
    cf_executor_close(pool);

    cf_sandbox_opts options = {
        .max_files = 10, .max_processes = 1, .cpu_seconds = 1, .memory = UINT64_C(1) << 40, .file_size = 4096};
    pool = sandboxed(1, &options);
    assert_int_equal(limit_in(pool, RLIMIT_NOFILE), 10);
    assert_int_equal(limit_in(pool, RLIMIT_NPROC), 1);
    assert_int_equal(limit_in(pool, RLIMIT_CPU), 1);
    assert_int_equal(limit_in(pool, RLIMIT_FSIZE), 4096);
    assert_int_equal(limit_in(pool, RLIMIT_DATA), UINT64_C(1) << 40);
    cf_future *spins = cf_submit(pool, spin);
    assert_int_equal(cf_future_wait(spins, CF_FOREVER), CF_ERR_WORKER_LOST);
    assert_true(cf_future_signal(spins) == SIGXCPU || cf_future_signal(spins) == SIGKILL);
    cf_future_release(spins);
    cf_executor_close(pool);
}

/* Memory that a limit forbids isn't there. */
static void
test_sandbox_limits_memory(void **state)
{
    int n = -1;
    cf_sandbox_opts options = {.memory = 256 << 20};
    (void)state;
    SKIP_UNLESS_SUPPORTED();
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its shadow alone is more than any limit */
#endif
    cf_executor *pool = sandboxed(1, &options);
    cf_future *allocates = cf_submit(pool, allocate, 1000);
    assert_int_equal(cf_result(allocates, allocate, &n, CF_FOREVER), CF_OK);
    assert_in_range(n, 1, 256);
    cf_future_release(allocates);
    cf_executor_close(pool);
}

static void
become_nobody_in_sandbox(void *unused)
{
    (void)unused;
    if (syscall(SYS_setgid, 65534) != 0 || syscall(SYS_setuid, 65534) != 0 || cf_sandbox_enter(NULL) != CF_OK)
        (void)cf_fail(1, "can't");
}

/* Workers that are another user as well have their limits, and die with the template. */
static void
test_sandbox_of_another_user(void **state)
{
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    if (geteuid() != 0)
        skip();
    cf_executor *pool = cf_process_pool(.max_workers = 2, .on_start = become_nobody_in_sandbox);
    cf_future *spins = cf_submit_with(pool, cf_options(.time_limit_ms = 20), spin);
    assert_int_equal(cf_future_wait(spins, CF_FOREVER), CF_ERR_TIME_LIMIT);
    cf_future_release(spins);
    assert_int_equal(kill(((cf__process_pool *)pool)->template_process, SIGKILL), 0);
    wait_until(living_processes() == 0);
    cf_executor_close(pool);
}

/* What is allowed in addition works, and what it's needed for; rights can't be had any more. */
static void
test_sandbox_allows_more(void **state)
{
    long calls[] = {SYS_socket, SYS_prctl};
    cf_sandbox_opts options = {.allow = calls, .allow_count = 2, .max_files = 64};
    int answer = -1;
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    cf_executor *pool = sandboxed(1, &options);
    cf_future *tries = cf_submit(pool, try, SOCKET),
              *no_new_privileges = cf_submit(pool, ask_process, PR_GET_NO_NEW_PRIVS),
              *dumpable = cf_submit(pool, ask_process, PR_GET_DUMPABLE), *opens = cf_submit(pool, try, OPEN);
    assert_int_equal(cf_result(tries, try, &answer, CF_FOREVER), CF_OK);
    assert_int_equal(answer, 0);
    assert_int_equal(cf_result(no_new_privileges, ask_process, &answer, CF_FOREVER), CF_OK);
    assert_int_equal(answer, 1);
    assert_int_equal(cf_result(dumpable, ask_process, &answer, CF_FOREVER), CF_OK);
    assert_int_equal(answer, 0);
    assert_int_equal(cf_future_wait(opens, CF_FOREVER), CF_ERR_WORKER_LOST);
    cf_future_release(tries);
    cf_future_release(no_new_privileges);
    cf_future_release(dumpable);
    cf_future_release(opens);
    cf_executor_close(pool);
}

/* In a child: what cf_sandbox_enter() says when `argument`, a call, fails. */
typedef struct failure {
    const char *site;
    int error;
    cf_err expected;
} failure;

static int
enter_failing(void *argument)
{
    const failure *f = argument;
    fault_fail_nth(f->site, 1, f->error);
    child_check(cf_sandbox_enter(NULL) == f->expected);
    return 0;
}

static int
enter_with_too_many(void)
{
    static long calls[257];
    cf_sandbox_opts options = {.allow = calls, .allow_count = 257};
    child_check(cf_sandbox_enter(&options) == CF_ERR_INVALID);
    options.allow_count = 256;
    child_check(cf_sandbox_enter(&options) == CF_OK);
    return 0;
}

/* Each call that may fail has its error; a pool whose workers can't be locked in is broken, and says why. */
static void
test_sandbox_failures(void **state)
{
    static failure failures[] = {{"seccomp", ENOSYS, CF_ERR_UNSUPPORTED},
                                 {"seccomp", EINVAL, CF_ERR_UNSUPPORTED},
                                 {"seccomp", EACCES, CF_ERR_SYSTEM},
                                 {"prctl", EINVAL, CF_ERR_UNSUPPORTED},
                                 {"setrlimit", EPERM, CF_ERR_SYSTEM}};
    (void)state;
    SKIP_UNLESS_SUPPORTED();
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        assert_int_equal(run_in_child_with(enter_failing, &failures[i]), 0);
    assert_int_equal(run_in_child(enter_with_too_many), 0);
    fault_clear();
    fault_fail_from("seccomp", 1, ENOSYS);
    cf_executor *pool = cf_process_pool(.max_workers = 1, .on_start = cf_sandbox_on_start);
    cf_future *future = cf_submit(pool, compute, 1);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_BROKEN);
    assert_non_null(strstr(cf_future_message(future), "sandbox: not supported"));
    cf_future_release(future);
    cf_executor_close(pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox_lets_tasks_compute),
        cmocka_unit_test(test_sandbox_kills),
        cmocka_unit_test(test_sandbox_refuses),
        cmocka_unit_test(test_sandbox_knows_its_machine),
        cmocka_unit_test(test_sandbox_filter_knows_its_machine),
        cmocka_unit_test(test_sandbox_closes_descriptors),
        cmocka_unit_test(test_sandbox_limits),
        cmocka_unit_test(test_sandbox_limits_memory),
        cmocka_unit_test(test_sandbox_of_another_user),
        cmocka_unit_test(test_sandbox_allows_more),
        cmocka_unit_test(test_sandbox_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
