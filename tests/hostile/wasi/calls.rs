//! Every call of WASI with its type, and a guest that makes whichever it is told to.

/// Every call with its type, as the specification of preview1 has them: `i` is an i32, `l` an i64. All return an i32
/// but `proc_exit`.
pub(crate) const CALLS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

/// A module that exports a function for each call, which makes the call; `memory` declares its memory, if any.
pub(crate) fn module(from: &str, memory: &str) -> String {
    let calls = CALLS.iter().filter(|(name, _)| from == PREVIEW1 || *name != "sock_accept");
    let (mut imports, mut funcs) = (String::new(), String::new());
    for (name, params) in calls {
        let types: Vec<_> = params.chars().map(|c| if c == 'i' { "i32" } else { "i64" }).collect();
        let result = if *name == "proc_exit" { "" } else { "(result i32)" };
        let ty = format!("(param {}) {result}", types.join(" "));
        let gets: Vec<_> = (0..types.len()).map(|n| format!("(local.get {n})")).collect();
        imports += &format!("(import \"{from}\" \"{name}\" (func ${name} {ty}))\n");
        funcs += &format!("(func (export \"{name}\") {ty} (call ${name} {}))\n", gets.join(" "));
    }
    format!("(module {imports} {memory} {funcs})")
}
