/** The word that turns an artifact into its own encoder process; no command is called like this. */
export const ENCODER_WORD = '--hakiri-encoder-process'
