//! Count the records of a named database.

mod lmdb;

use lmdb::*;
use pyo3::{exceptions::PyRuntimeError, prelude::*};
use std::ffi::{c_int, CStr, CString};
use std::ptr::null_mut;

fn check(rc: c_int) -> Result<(), c_int> {
    if rc == SUCCESS { Ok(()) } else { Err(rc) }
}

unsafe fn count_records(txn: *mut Txn, database: &CStr) -> Result<(usize, usize), c_int> {
    let (mut dbi, mut cursor) = (0, null_mut());
    let (mut key, mut value) = (Val::default(), Val::default());
    let (mut records, mut bytes) = (0, 0);
    check(mdb_dbi_open(txn, database.as_ptr(), 0, &mut dbi))?;
    check(mdb_cursor_open(txn, dbi, &mut cursor))?;
    let end = loop {
        match mdb_cursor_get(cursor, &mut key, &mut value, NEXT) {
            SUCCESS => (records, bytes) = (records + 1, bytes + key.size + value.size),
            rc => break rc,
        }
    };
    mdb_cursor_close(cursor);
    if end == NOTFOUND { Ok((records, bytes)) } else { Err(end) }
}

unsafe fn count_in(env: *mut Env, path: &CStr, database: &CStr) -> Result<(usize, usize), c_int> {
    let mut txn = null_mut();
    check(mdb_env_set_maxdbs(env, 1))?;
    check(mdb_env_open(env, path.as_ptr(), RDONLY, 0o644))?;
    check(mdb_txn_begin(env, null_mut(), RDONLY, &mut txn))?;
    let found = count_records(txn, database);
    mdb_txn_abort(txn);
    found
}

/// The number of records of a named database, and the bytes of their keys and values.
#[pyfunction]
fn count(py: Python<'_>, path: CString, database: CString) -> PyResult<(usize, usize)> {
    let found = py.detach(|| unsafe {
        let mut env = null_mut();
        check(mdb_env_create(&mut env))?;
        let found = count_in(env, &path, &database);
        mdb_env_close(env);
        found
    });
    found.map_err(|rc| {
        let reason = unsafe { CStr::from_ptr(mdb_strerror(rc)) };
        PyRuntimeError::new_err(format!("{}: {}", path.to_string_lossy(), reason.to_string_lossy()))
    })
}

/// The address of mdb_version in this process: equal for all who share one liblmdb.
#[pyfunction]
fn version_address() -> usize {
    mdb_version as *const () as usize
}

#[pymodule]
fn _count(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(count, module)?)?;
    module.add_function(wrap_pyfunction!(version_address, module)?)
}
