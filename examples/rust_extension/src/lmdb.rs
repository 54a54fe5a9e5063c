//! What this example needs of lmdb.h.

use std::ffi::{c_char, c_int, c_uint};

pub const SUCCESS: c_int = 0;
pub const NOTFOUND: c_int = -30798;
pub const RDONLY: c_uint = 0x20000;
pub const NEXT: c_int = 8;

#[repr(C)]
#[derive(Default)]
pub struct Val {
    pub size: usize,
    pub data: usize, // the address, which nobody here follows
}

pub enum Env {}
pub enum Txn {}
pub enum Cursor {}
pub type Dbi = c_uint;

extern "C" {
    pub fn mdb_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int) -> *const c_char;
    pub fn mdb_strerror(rc: c_int) -> *const c_char;
    pub fn mdb_env_create(env: *mut *mut Env) -> c_int;
    pub fn mdb_env_set_maxdbs(env: *mut Env, dbs: Dbi) -> c_int;
    pub fn mdb_env_open(env: *mut Env, path: *const c_char, flags: c_uint, mode: c_uint) -> c_int;
    pub fn mdb_env_close(env: *mut Env);
    pub fn mdb_txn_begin(env: *mut Env, parent: *mut Txn, flags: c_uint, txn: *mut *mut Txn) -> c_int;
    pub fn mdb_txn_abort(txn: *mut Txn);
    pub fn mdb_dbi_open(txn: *mut Txn, name: *const c_char, flags: c_uint, dbi: *mut Dbi) -> c_int;
    pub fn mdb_cursor_open(txn: *mut Txn, dbi: Dbi, cursor: *mut *mut Cursor) -> c_int;
    pub fn mdb_cursor_get(cursor: *mut Cursor, key: *mut Val, value: *mut Val, op: c_int) -> c_int;
    pub fn mdb_cursor_close(cursor: *mut Cursor);
}
