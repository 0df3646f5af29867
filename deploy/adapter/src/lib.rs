//! Runs any HTTP app as a Lambda function.
