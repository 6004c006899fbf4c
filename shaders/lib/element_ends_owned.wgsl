// No word that a window writes has elements of another window's that are not written with it.
const KEEPS_ENDS: bool = false;

fn kept(i: u32, value: Stored, before: Stored) -> Stored {
    return value;
}
