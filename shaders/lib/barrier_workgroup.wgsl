// All that the invocations of the workgroup wrote to shared memory can be read by all of them.
fn sync() {
    workgroupBarrier();
}
